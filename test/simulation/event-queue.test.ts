// The calendar takes events in the order that a plain sorted list has, whatever is made when.
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { EventQueue } from "../../simulator/event-queue.ts";

const BUCKET_MS = 2;

interface Made {
  readonly at: number;
  readonly group: number;
  readonly number: number;
}

/** What the calendar should do: by bucket, group, time and turn. */
class SortedEvents {
  readonly #events: Made[] = [];
  #at = 0;
  #bucket = 0;

  add(at: number, group: number, number: number): void {
    this.#events.push({ at: Math.max(at, this.#at), group, number });
  }

  take(): Made | undefined {
    const bucketOf = ({ at }: Made) => Math.max(this.#bucket, Math.floor(at / BUCKET_MS));
    this.#events.sort(
      (a, b) =>
        bucketOf(a) - bucketOf(b) || a.group - b.group || a.at - b.at || a.number - b.number,
    );
    const first = this.#events.shift();
    if (first === undefined) return undefined;
    this.#bucket = bucketOf(first);
    this.#at = first.at;
    return first;
  }
}

const inMs = fc.oneof(
  fc.constantFrom(0, 0.5, 1),
  fc.double({ min: 0, max: 20, noNaN: true }),
  // Beyond the calendar.
  fc.double({ min: 100_000, max: 400_000, noNaN: true }),
);
const turn = fc.oneof(
  fc.record({ do: fc.constant("add" as const), inMs, group: fc.integer({ min: 0, max: 40 }) }),
  // More than are put in order one by one.
  fc.record({ do: fc.constant("crowd" as const), count: fc.integer({ min: 30, max: 50 }) }),
  fc.record({ do: fc.constant("take" as const), count: fc.integer({ min: 1, max: 60 }) }),
);

test("events come by bucket, group and time, those of one instant as they were made", () => {
  fc.assert(
    fc.property(fc.array(turn, { maxLength: 60 }), (turns) => {
      const queue = new EventQueue(BUCKET_MS);
      const sorted = new SortedEvents();
      let made = 0;
      const add = (at: number, group: number) => {
        queue.add(at, group, made % 16, made, group);
        sorted.add(at, group, made);
        made += 1;
      };
      const take = (): boolean => {
        const expected = sorted.take();
        assert.equal(queue.take(Number.POSITIVE_INFINITY), expected !== undefined);
        if (expected === undefined) return false;
        const { at, group, number } = expected;
        assert.deepEqual(
          [queue.at, queue.object, queue.subject, queue.kind],
          [at, group, number, number % 16],
        );
        return true;
      };
      for (const next of turns) {
        if (next.do === "add") add(queue.at + next.inMs, next.group);
        else if (next.do === "take") for (let count = next.count; count > 0; count -= 1) take();
        else for (let one = 0; one < next.count; one += 1) add(queue.at + 3 + (one % 7) / 7, 1);
      }
      while (take()) {}
    }),
  );
});
