import numpy as np

from wsss_lightning.methods.points.stages.balanced_schedule import balanced_schedule, phase_steps

TAGS = np.array([[1, 0], [1, 1], [0, 1], [0, 0], [0, 0], [0, 0], [0, 1], [0, 0]], dtype=bool)


def test_every_epoch_shows_all_positives_and_as_many_negatives_of_each_class() -> None:
    (steps,) = balanced_schedule(TAGS, "ab", epochs=1, seed=0)
    for c in range(2):
        shown = [image for image, classes in steps if c in classes]
        positive = [image for image in shown if TAGS[image, c]]
        assert sorted(positive) == np.flatnonzero(TAGS[:, c]).tolist()
        assert len(shown) == 2 * len(positive)
        assert len(set(shown)) == len(shown)


def test_an_image_stands_once_in_an_epoch_and_only_with_a_class() -> None:
    (steps,) = balanced_schedule(TAGS, "ab", epochs=1, seed=0)
    images = [image for image, _ in steps]
    assert len(set(images)) == len(images)
    assert all(classes for _, classes in steps)


def test_negatives_differ_between_epochs_and_follow_the_seed() -> None:
    first, again, other = (balanced_schedule(TAGS, "ab", epochs=4, seed=seed) for seed in (0, 0, 1))
    assert first == again != other
    assert balanced_schedule(TAGS, "ab", epochs=1, seed=0) == first[:1]  # a longer training begins as a shorter one
    drawn = [{image for image, classes in steps if 0 in classes} for steps in first]
    assert len(set(map(frozenset, drawn))) > 1


def test_a_class_of_most_images_takes_the_negatives_there_are() -> None:
    (steps,) = balanced_schedule(np.array([[1], [1], [1], [0]], dtype=bool), "a", epochs=1, seed=0)
    assert sorted(image for image, _ in steps) == [0, 1, 2, 3]


def test_what_a_class_draws_does_not_depend_on_the_others() -> None:
    together = balanced_schedule(TAGS, "ab", epochs=3, seed=0)
    alone = balanced_schedule(TAGS[:, 1:], "b", epochs=3, seed=0)
    of_b = [[image for image, classes in steps if 1 in classes] for steps in together]
    assert of_b == [[image for image, _ in steps] for steps in alone]  # the same images in the same order


def test_a_phase_is_as_long_as_its_epochs() -> None:
    schedule = balanced_schedule(TAGS, "ab", epochs=3, seed=0)
    first, second, third = map(len, schedule)
    assert phase_steps(schedule, [2, 1]) == [first + second, third]
