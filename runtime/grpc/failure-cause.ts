// What lies behind a call that could not be sent, for people: grpc-js wraps it in words of its own.

/** "connect ECONNREFUSED 10.0.0.13:2379" of "No connection established. Last error: ..."; other texts as they are. */
export function failureCause(details: string): string {
  return /Last error: (?:Error: )?(.+?)\. Resolution note/.exec(details)?.[1] ?? details;
}
