/** An agent of a test's own making, which may say anything. */
import { once } from 'node:events';
import { connect } from 'node:net';
import {
  decodeServerMessage,
  encodeAgentMessage,
  FrameParser,
  type AgentMessage,
  type Hello,
  type ServerMessage,
} from '../../src/sandbox/agent-protocol/index.ts';
import { SECRET } from './agent-process.ts';

export interface ForgedAgent {
  say(...messages: AgentMessage[]): void;
  write(bytes: Uint8Array): void;
  /** What the server said so far. */
  heard: ServerMessage[];
  /** With what code the server refused it; undefined while it has not. */
  refused(): string | undefined;
  isClosed(): boolean;
  end(): void;
}

export const HELLO: Hello = { version: 1, role: 'terminal', fence: 0, secret: SECRET, terminals: [] };

export async function forgeAgent(socketPath: string): Promise<ForgedAgent> {
  const socket = connect(socketPath);
  const heard: ServerMessage[] = [];
  const parser = new FrameParser();
  let isClosed = false;
  socket.on('data', (piece) => {
    for (const frame of parser.push(piece)) heard.push(decodeServerMessage(frame));
  });
  // Cut off amid a write.
  socket.on('error', () => {});
  socket.on('close', () => {
    isClosed = true;
  });
  await once(socket, 'connect');
  return {
    say: (...messages) => void socket.write(Buffer.concat(messages.map(encodeAgentMessage))),
    write: (bytes) => void socket.write(bytes),
    heard,
    refused: () => heard.find((message) => message.type === 'refused')?.code,
    isClosed: () => isClosed,
    end: () => socket.destroy(),
  };
}

/** A forged agent that the server takes for its sandbox's. */
export async function welcomedAgent(socketPath: string, hello: Partial<Hello> = {}): Promise<ForgedAgent> {
  const agent = await forgeAgent(socketPath);
  agent.say({ type: 'hello', hello: { ...HELLO, ...hello } });
  return agent;
}
