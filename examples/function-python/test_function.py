"""python3 -m unittest: the functions of this folder, with the events that the bridge's own tests use."""

import contextlib
import io
import json
import pathlib
import unittest

import function

EVENT = pathlib.Path(__file__).with_name("event.json")


def event():
    return json.loads(EVENT.read_text())


def quietly(handler, event):
    with contextlib.redirect_stdout(io.StringIO()):
        return handler(event, None)


class PlainFunction(unittest.TestCase):
    def test_readings_are_taken_and_all_else_is_refused_record_by_record(self):
        answer = quietly(function.handler, event())
        refused = {failure["itemIdentifier"][-2:]: failure for failure in answer["batchItemFailures"]}
        self.assertEqual(refused.keys(), {"-2", "-3"})
        self.assertIs(refused["-2"]["retry"], False)
        self.assertEqual(refused["-2"]["reason"], "payload: no JSON object")

    def test_a_failure_of_ours_is_tried_again_and_says_no_more_than_its_kind(self):
        broken = event()
        del broken["records"][0]["topic"]
        failure = quietly(function.handler, broken)["batchItemFailures"][0]
        self.assertEqual(failure, {"itemIdentifier": broken["records"][0]["id"], "reason": "KeyError"})

    def test_numbers_that_are_none_are_refused(self):
        for temperature in ["21", None, True, float("inf"), [1]]:
            changed = event()
            changed["records"][0]["payload"]["temperature"] = temperature
            failure = quietly(function.handler, changed)["batchItemFailures"][0]
            self.assertEqual(failure["reason"], "temperature: not a finite number", temperature)

    def test_every_encoding_gives_back_its_bytes(self):
        bytes_of = [function.published(record) for record in event()["records"]]
        self.assertEqual(json.loads(bytes_of[0])["temperature"], 24.5)
        self.assertEqual(bytes_of[1:], ["21,5 °C\n".encode(), b"\x00\xff\x10\x80"])


class OnPowertools(unittest.TestCase):
    def setUp(self):
        try:
            import powertools
        except ModuleNotFoundError:
            self.skipTest("aws-lambda-powertools is not installed")
        self.handler = powertools.handler

    def test_the_response_names_the_records_that_failed(self):
        answer = quietly(self.handler, event())
        self.assertEqual([failure["itemIdentifier"][-2:] for failure in answer["batchItemFailures"]], ["-2", "-3"])

    def test_a_batch_in_which_all_fail_is_a_response_too(self):
        failing = event()
        failing["records"] = failing["records"][1:]
        self.assertEqual(len(quietly(self.handler, failing)["batchItemFailures"]), 2)

    def test_one_invocation_leaves_nothing_to_the_next(self):
        quietly(self.handler, event())
        good = event()
        good["records"] = good["records"][:1]
        self.assertEqual(quietly(self.handler, good), {"batchItemFailures": []})


if __name__ == "__main__":
    unittest.main()
