// Numbers in flags: what is within the bounds is read, what is not is refused with them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { numberBetween, portNumber, wholeNumber } from "../../runtime/program/number-flags.ts";

const READ: readonly [(text: string) => number, string, number][] = [
  [wholeNumber(0), "0", 0],
  [wholeNumber(1), "9007199254740991", Number.MAX_SAFE_INTEGER],
  [wholeNumber(1, 256), "256", 256],
  [portNumber, "65535", 65_535],
  [numberBetween(0, 2), "0.5", 0.5],
  [numberBetween(0, 2), "2", 2],
];

type Refused = readonly [parse: (text: string) => number, text: string, message: string];

const WHOLE = "expected a whole number from 0";
const BETWEEN = "expected a number from 0 to 2";
const REFUSED: readonly Refused[] = [
  ...["", " ", "-1", "1.5", "1e3", "0x10", "abc", "9007199254740992"].map(
    (text): Refused => [wholeNumber(0), text, WHOLE],
  ),
  [wholeNumber(1, 256), "257", "expected a whole number from 1 to 256"],
  [wholeNumber(1, 256), "0", "expected a whole number from 1 to 256"],
  [portNumber, "65536", "expected a whole number from 0 to 65535"],
  ...["", " ", "-0.1", "2.1", "abc", "NaN"].map(
    (text): Refused => [numberBetween(0, 2), text, BETWEEN],
  ),
];

test("numbers within the bounds", () => {
  for (const [parse, text, number] of READ) assert.equal(parse(text), number, text);
});

test("what is no such number is refused with the bounds", () => {
  for (const [parse, text, message] of REFUSED) {
    assert.throws(() => parse(text), { name: "InvalidArgumentError", message }, `"${text}"`);
  }
});
