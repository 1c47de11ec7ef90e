from rmpe_jax.shares import WHOLE, Share


def test_shares_are_disjoint_and_make_the_whole():
    things = list("abcdefg")
    shares = [Share(process, 3).of(things) for process in range(3)]
    assert shares == [list("adg"), list("be"), list("cf")]
    assert WHOLE.of(things) == things
    assert Share(2, 3).of(things[:2]) == []


def test_a_part_says_which_of_how_many_it_is():
    assert Share(1, 4).file("poses.json") == "poses.00001-of-00004.json"
    assert WHOLE.file("poses.json") == "poses.json"
