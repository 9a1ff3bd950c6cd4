// What goes wrong with GCS, in our words: which failures pass by themselves, and what a user can do about
// those that do not. Errors that are ours already, and those of bodies, pass as they are.
import { BlobFullError, BlobUnavailableError } from "./blob-store.ts";
import type { GcsAddress } from "./gcs-address.ts";

/** "Not now": GCS asks to come back, or one of its machines stumbled. */
const TRANSIENT_STATUS: readonly number[] = [408, 429, 500, 502, 503, 504];
/** What a quota that counts requests says where it does not say 429. */
const TRANSIENT_REASONS: readonly string[] = ["rateLimitExceeded", "userRateLimitExceeded"];
/** The network is away, or a connection broke. */
const TRANSIENT_CODES: readonly string[] = [
  "EAI_AGAIN",
  "ECONNABORTED",
  "ECONNREFUSED",
  "ECONNRESET",
  "EHOSTUNREACH",
  "ENETDOWN",
  "ENETUNREACH",
  "ENOTFOUND",
  "EPIPE",
  "ERR_STREAM_PREMATURE_CLOSE",
  "ETIMEDOUT",
];
/** Of an object it says "No such object", with the names of both. */
const BUCKET_GONE = /specified bucket does not exist/i;
/** What google-auth-library says when it finds no credentials, or none that are any good. */
const NO_CREDENTIALS = /default credentials|does not exist, or it is not a file|invalid_grant/;

type Reasons = readonly { readonly reason?: unknown }[];

/** An answer that is not the one wanted. */
export class GcsAnswerError extends Error {
  override readonly name = "GcsAnswerError";
  readonly status: number;
  readonly reason: string;

  /** `body` is what came with the status: JSON as of the API, XML, or plain text. */
  constructor(status: number, body: string) {
    const { message, reason } = parseBody(body);
    super(`${status} ${message}`.trim());
    this.status = status;
    this.reason = reason;
  }
}

/** HTTP status of an answer that an error stands for, ours or the library's. */
export function statusOf(error: unknown): number | undefined {
  const { status, code, response } = error as {
    status?: unknown;
    code?: unknown;
    response?: { status?: unknown };
  };
  // The library has the status as a code, a number or digits; codes of the system are words.
  const found = [status, response?.status, code].find((each) => /^[1-5]\d\d$/.test(String(each)));
  return found === undefined ? undefined : Number(found);
}

/** Whether an answer says that the object is not there; a bucket that is gone has the same status. */
export function isAbsent(error: unknown): boolean {
  return statusOf(error) === 404 && !BUCKET_GONE.test((error as Error).message);
}

/** Whether the same request may succeed in a while. */
export function isTransient(error: unknown): boolean {
  const status = statusOf(error);
  if (status !== undefined) {
    return TRANSIENT_STATUS.includes(status) || TRANSIENT_REASONS.includes(reasonOf(error));
  }
  return codesOf(error).some((code) => TRANSIENT_CODES.includes(code));
}

/** The typed error for what a request about `what` threw. */
export function gcsFailure(
  error: unknown,
  what: string,
  { bucket, endpoint }: GcsAddress,
): unknown {
  if (!(error instanceof Error)) return error;
  if (error instanceof BlobUnavailableError || error instanceof BlobFullError) return error;
  const told = error.message.slice(0, 500);
  const unavailable = (why: string): Error =>
    new BlobUnavailableError(`cannot use ${what} in gs://${bucket}: ${why}`, { cause: error });
  if (NO_CREDENTIALS.test(error.message)) {
    const advice = "set GOOGLE_APPLICATION_CREDENTIALS or run where a service account is attached";
    return unavailable(`no valid Google credentials (${told}); ${advice}`);
  }
  const status = statusOf(error);
  if (status === undefined) {
    if (codesOf(error).length === 0) return error;
    return unavailable(`${endpoint} cannot be reached (${told || codesOf(error).join(", ")})`);
  }
  if (reasonOf(error) === "quotaExceeded") {
    const advice = "raise it or delete blobs";
    return new BlobFullError(`no quota left for ${what} in gs://${bucket}: ${told}; ${advice}`, {
      cause: error,
    });
  }
  return unavailable(explain(status, told, bucket));
}

function explain(status: number, told: string, bucket: string): string {
  if (status === 401) return `its credentials are refused (${told})`;
  if (status === 403) {
    return `permission denied (${told}); grant it roles/storage.objectUser on the bucket`;
  }
  if (status === 404) return `bucket ${bucket} does not exist; create it or correct the URL`;
  if (status === 429) return `too many requests, for too long (${told})`;
  return `answered ${told}`;
}

function reasonOf(error: unknown): string {
  // Ours has it; the library's errors have those of the API, or the answer as it came.
  const { reason, errors, response } = error as {
    reason?: unknown;
    errors?: Reasons;
    response?: { data?: { error?: { errors?: Reasons } } };
  };
  const told = errors ?? response?.data?.error?.errors;
  return String(reason ?? told?.[0]?.reason ?? "");
}

/** Codes of the system in an error and in what caused it. */
function codesOf(error: unknown): string[] {
  if (!(error instanceof Error)) return [];
  const { code } = error as { code?: unknown };
  const own = typeof code === "string" && /^E[A-Z_]+$/.test(code) ? [code] : [];
  return [...own, ...codesOf(error.cause)];
}

function parseBody(body: string): { message: string; reason: string } {
  try {
    const { error } = JSON.parse(body) as {
      error?: { message?: string; errors?: { reason?: string }[] };
    };
    return { message: error?.message ?? "", reason: error?.errors?.[0]?.reason ?? "" };
  } catch {
    const [, code = ""] = /<Code>([^<]*)/.exec(body) ?? [];
    const [, message = body] = /<Message>([^<]*)/.exec(body) ?? [];
    return { message: message.trim().slice(0, 300), reason: code };
  }
}
