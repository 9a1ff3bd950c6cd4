// A program's id: made at its first start, kept in its root folder from then on; that of a peer with the key
// that proves it. One file holds both, readable by nobody else, so that neither is ever without the other.

import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { isIdOf, newIdentity, type PeerIdentity } from "../peer/peer-identity.ts";
import { SigningKey } from "../signing-key.ts";
import { readJson, writeJson } from "./json-file.ts";

interface Kept {
  readonly id: string;
  /** Private key of a peer; none where the id is from before there were keys. */
  readonly key?: string;
}

/** Id of the program that owns `root`, made with `prefix` at the first start: "worker-0123456789ab". */
export function keptId(root: string, prefix: string): string {
  const path = keptIn(root, prefix);
  const kept = readJson<Kept>(path);
  if (kept !== undefined) return kept.id;
  const id = `${prefix}-${randomBytes(6).toString("hex")}`;
  writeJson(path, { id } satisfies Kept);
  return id;
}

/** The same of a peer, with its key. Throws where the two in the file do not belong together. */
export function keptIdentity(root: string, prefix: string): PeerIdentity {
  const path = keptIn(root, prefix);
  const kept = readJson<Kept>(path);
  if (kept === undefined) {
    const { id, key } = newIdentity(prefix);
    writeJson(path, { id, key: key.secret } satisfies Kept);
    return { id, key };
  }
  if (kept.key === undefined) return { id: kept.id };
  const key = SigningKey.read(kept.key);
  if (isIdOf(kept.id, key.publicKey)) return { id: kept.id, key };
  throw new Error(
    `${path}: the id ${kept.id} is not of the key beside it; delete the file for a new id`,
  );
}

function keptIn(root: string, prefix: string): string {
  return join(root, `${prefix}.json`);
}
