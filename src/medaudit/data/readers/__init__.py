"""Readers of file formats, which know no dataset: find files, read tables, decode images.

- `find_files`: the owner's table and images, wherever a download has put them.
- `owner_table`, `excel_sheet`: tables, column by column, with errors that name line and value.
- `sheet`, and by `delimited_text` its text: any table, whatever delimiter, encoding and format.
- `dicom_headers`: the headers of a folder of DICOM files as a table. `roles`: usual column names.
- `decode`: a file that is one image (PNG, JPEG, TIFF ... and, by `dicom` and `dicom_frame`, DICOM).
- `image_containers`: files of many images (HDF5, Analyze volumes, and, by `npz_arrays`, NumPy).
- `limits`: how large an image may be.
"""
