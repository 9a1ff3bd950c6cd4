// STUN and TURN servers as operators name them on the command line. None is contacted unless named.
import { InvalidArgumentError } from "commander";
import type { IceServer } from "./wrtc.ts";

/** Servers of one program: libwebrtc asks each of them at every call. */
const ICE_SERVERS_MAX = 4;
const FORM =
  /^(stuns?|turns?):(?:([^:@/]+):([^:@/]+)@)?([^:@/?]+(?::\d{1,5})?(?:\?transport=(?:udp|tcp))?)$/;

/** Reads `stun:HOST:PORT` or `turn:USER:SECRET@HOST:PORT` for commander; throws its error. */
export function iceServer(text: string, before: readonly IceServer[]): IceServer[] {
  const [, scheme, username, credential, place] = FORM.exec(text) ?? [];
  if (scheme === undefined) {
    throw new InvalidArgumentError("expected stun:HOST:PORT or turn:USER:SECRET@HOST:PORT");
  }
  if (scheme.startsWith("turn") && username === undefined) {
    throw new InvalidArgumentError(
      "a TURN server needs a user and a secret: turn:USER:SECRET@HOST",
    );
  }
  if (before.length === ICE_SERVERS_MAX) {
    throw new InvalidArgumentError(`more than ${ICE_SERVERS_MAX} servers`);
  }
  const urls = `${scheme}:${place}`;
  const login = username === undefined ? {} : { username, credential };
  return [...before, { urls, ...login }];
}
