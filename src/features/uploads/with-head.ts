/** The beginning of a stream, and the whole of it all the same. */
export interface WithHead {
  /** As many bytes as were asked for, or all there are. */
  head: Uint8Array;
  /** From the first byte on; to be read once. */
  content: AsyncIterable<Uint8Array>;
}

export async function withHead(source: AsyncIterable<Uint8Array>, bytes: number): Promise<WithHead> {
  const iterator = source[Symbol.asyncIterator]();
  const chunks: Uint8Array[] = [];
  for (let length = 0; length < bytes;) {
    const next = await iterator.next();
    if (next.done) break;
    chunks.push(next.value);
    length += next.value.length;
  }
  async function* all(): AsyncGenerator<Uint8Array> {
    try {
      yield* chunks.splice(0);
      for (;;) {
        const next = await iterator.next();
        if (next.done) return;
        yield next.value;
      }
    } finally {
      await iterator.return?.();
    }
  }
  return { head: Buffer.concat(chunks).subarray(0, bytes), content: all() };
}
