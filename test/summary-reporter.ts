// A reporter for node:test that writes only the summary, as one JSON line. The runner reads the
// numbers from there instead of from text made for people.

interface Event {
  readonly type: string;
  readonly data: unknown;
}

/** Yields the data of each `test:summary` event as a line of JSON. */
export default async function* summaryReporter(events: AsyncIterable<Event>) {
  for await (const event of events) {
    if (event.type === "test:summary") yield `${JSON.stringify(event.data)}\n`;
  }
}
