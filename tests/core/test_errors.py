import pickle

from medaudit.core.errors import LONGEST, MedauditError


def test_problems_are_listed_below_the_message_and_kept_apart():
    error = MedauditError("files are missing:", ["there is no a.pt", "there is no b.pt:"])
    assert str(error) == "files are missing:\n- there is no a.pt\n- there is no b.pt:"
    assert error.problems == ("there is no a.pt", "there is no b.pt:")
    assert MedauditError("x").problems == ()


def test_an_error_of_a_worker_process_arrives_whole():
    error = pickle.loads(pickle.dumps(MedauditError("bad:", ["one", "two"])))
    assert str(error) == "bad:\n- one\n- two"
    assert error.problems == ("one", "two")


def test_what_a_file_holds_cannot_control_the_terminal():
    assert str(MedauditError("\x1b[2J\rmedaudit: all is well")) == r"\x1b[2J\rmedaudit: all is well"
    assert len(str(MedauditError("a" * 10**6))) == LONGEST
