/** What the SDK's tests share: servers and clients that end with the test, and short waits. */
import { onTestFinished } from 'vitest';
import { connect, type AtelierClient, type ConnectOptions, type Message } from '../../src/client/index.ts';
import { ScriptedServer } from './sdk-scripted-server.ts';

export async function startServer(): Promise<ScriptedServer> {
  const server = await new ScriptedServer().listen();
  onTestFinished(() => server.close());
  return server;
}

/** A client with short waits; it closes with the test. */
export function startClient(server: { url: string }, options: Partial<ConnectOptions> = {}): AtelierClient {
  const client = connect({
    url: server.url,
    token: 'token',
    ...options,
    socket: { reconnectionDelay: 5, reconnectionDelayMax: 20, ...options.socket },
    timings: { holeMs: 20, retryMs: 5, retryMaxMs: 20, ...options.timings },
  });
  onTestFinished(() => client.close());
  return client;
}

/** The messages that a listener of `client` hears, as they come. */
export function heardBy(client: AtelierClient): Message[] {
  const heard: Message[] = [];
  client.on('message:created', ({ message }) => heard.push(message));
  return heard;
}

export const contentsOf = (messages: readonly Message[]): string[] => messages.map((message) => message.content);
