// Gives the memory of a buffer back at once. Left to the garbage collector, megabytes outside its heap
// pile up (40 MB in a fast peer, 100 MB in a relay), and make it mark the whole heap again and again.

/** Frees the memory behind `bytes` where they are all of it; nobody may look at them any more. */
export function freeMemory({ buffer, byteLength }: Uint8Array): void {
  if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
}
