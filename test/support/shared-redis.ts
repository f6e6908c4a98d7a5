/** A server that all tests of a suite share. */
import { afterAll, beforeAll } from 'vitest';

/** One for all tests of the suite that calls this; its URL is known once they run. */
export function sharedRedis(start: () => Promise<{ url: string } & AsyncDisposable>): { readonly url: string } {
  let server: ({ url: string } & AsyncDisposable) | undefined;
  beforeAll(async () => {
    server = await start();
  });
  afterAll(() => server?.[Symbol.asyncDispose]());
  return {
    get url() {
      if (!server) throw new Error('No test runs');
      return server.url;
    },
  };
}
