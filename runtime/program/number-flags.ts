// Flags of commands and programs that are numbers, read in one place. Each parser throws commander's error with the
// bounds; commander adds the flag and what was given.
import { InvalidArgumentError } from "commander";

const PORT_MAX = 65_535;

/** A parser for whole numbers in these bounds. */
export function wholeNumber(
  min: number,
  max: number = Number.MAX_SAFE_INTEGER,
): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`expected a whole number ${bounds(min, max)}`);
  };
}

/** A parser for numbers in these bounds, fractions too. */
export function numberBetween(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`expected a number ${bounds(min, max)}`);
  };
}

/** The number of a port, 0 for a free one. */
export const portNumber = wholeNumber(0, PORT_MAX);

function bounds(min: number, max: number): string {
  return max === Number.MAX_SAFE_INTEGER ? `from ${min}` : `from ${min} to ${max}`;
}
