// Requests made from nothing but their descriptors: every field filled with the same wrong thing.

/** A request type as reflection describes it. */
interface Described {
  readonly type: { readonly name: string; readonly field: readonly Field[] };
}
interface Field {
  readonly name: string;
  readonly label: string;
  readonly type: string;
}

/**
 * Requests with `text` in scalar fields, and numbers at their limit: one with all fields, and one for
 * each field alone, because what is checked first hides what comes after it.
 */
export function nastyRequests(requestType: unknown, text: string): Record<string, unknown>[] {
  const fields = (requestType as Described).type.field.flatMap((field) => {
    const value = nastyValue(field, text);
    if (value === undefined) return [];
    return [[field.name, field.label === "LABEL_REPEATED" ? [value] : value] as const];
  });
  return [Object.fromEntries(fields), ...fields.map((field) => Object.fromEntries([field]))];
}

function nastyValue({ name, type }: Field, text: string): unknown {
  // It would be waited for, as it should.
  if (name === "wait_ms") return 0;
  switch (type) {
    case "TYPE_STRING":
      return text;
    case "TYPE_BYTES":
      return Buffer.from(text);
    case "TYPE_UINT32":
      return 2 ** 32 - 1;
    case "TYPE_UINT64":
      return Number.MAX_SAFE_INTEGER;
    case "TYPE_ENUM":
      return 99;
    case "TYPE_BOOL":
      return true;
    default:
      return undefined;
  }
}
