"""File formats: CSV and Excel tables, pictures, DICOM, arrays; limits on what is read."""
