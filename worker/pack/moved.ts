// What goes between the packer and its threads is moved rather than copied.
import { move, transferableSymbol, valueSymbol } from "piscina";

/** The value as a task or a result of piscina, with these buffers in it moved; the sender's are empty afterwards. */
export function moved<Value>(value: Value, buffers: readonly ArrayBufferLike[]): Value {
  return move({ [transferableSymbol]: buffers, [valueSymbol]: value } as never) as Value;
}
