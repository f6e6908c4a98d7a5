import { createEngine, type EngineOptions } from './engine.ts';
import { listen, type Address, type WireServer } from './wire/server.ts';

/** Runs an engine and its server in the calling thread. */
export async function startInThread(options: EngineOptions & { listen: Address }): Promise<WireServer> {
  const engine = createEngine(options);
  try {
    const server = await listen(engine, options.listen, options.onError);
    return {
      uri: server.uri,
      async close() {
        await server.close();
        await engine.close();
      },
    };
  } catch (error) {
    await engine.close();
    throw error;
  }
}
