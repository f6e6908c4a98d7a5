/**
 * A real Socket.IO server with a scripted Atelier behind it: chats with logs, streams and every fault that a test asks
 * for (refusals, cuts, lost answers, lost or doubled events). It follows the wire's shapes and nothing more.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server, type Socket } from 'socket.io';
import type { Chat, Message } from '../../src/client/index.ts';
import { LIMITS } from '../../src/protocol/limits.ts';

type Answer = { ok: true; data: unknown } | { ok: false; error: { code: string; message: string } & object };
export interface Call {
  name: string;
  input: Record<string, unknown>;
  /** Counts connections from 1. */
  connection: number;
}
/** What becomes of an operation instead of its answer. */
export type Fate = 'answer' | 'lose' | 'lose-answer' | 'cut' | 'cut-after' | Answer | Promise<'answer'>;

export interface ScriptedStream {
  streamId: string;
  messageId: string;
  chatId: string;
  text: string;
  status: 'running' | 'finished' | 'interrupted' | 'failed';
}

let ids = 0;
/** A fresh id in the wire's form. */
export const newId = (): string => (++ids).toString(16).padStart(24, '0');
export const fault = (code: string, more: object = {}): Answer => ({
  ok: false,
  error: { code, message: code, ...more },
});

export class ScriptedServer {
  readonly userId = newId();
  readonly logs = new Map<string, Message[]>();
  readonly chats = new Map<string, Chat>();
  readonly streams = new Map<string, ScriptedStream>();
  readonly calls: Call[] = [];
  /** Tokens of the handshakes, in order. */
  readonly tokens: unknown[] = [];
  /** One for each coming handshake: its refusal. */
  readonly refusals: { code: string; message?: string; retryAfterMs?: number }[] = [];
  /** Most operations of one socket under way at once. */
  mostUnderWay = 0;
  greets = true;
  /** Which log entries `chat:sync` still has, by chat. */
  readonly floors = new Map<string, number>();
  fate: (call: Call) => Fate = () => 'answer';
  /** How often a live event reaches a socket. */
  copies: () => number = () => 1;
  readonly handlers: Record<string, (input: Record<string, unknown>) => unknown> = {};
  readonly #http = createServer();
  readonly #io: Server;
  readonly #transports = new Set<{ close(): unknown }>();
  #connections = 0;

  constructor() {
    this.#io = new Server(this.#http, { serveClient: false, maxHttpBufferSize: LIMITS.packetBytes });
    this.#io.use((socket, next) => {
      this.tokens.push(socket.handshake.auth.token);
      const refusal = this.refusals.shift();
      next(refusal && Object.assign(new Error(refusal.code), { data: { message: refusal.code, ...refusal } }));
    });
    this.#io.on('connection', (socket) => this.#serve(socket));
    this.#io.engine.on('connection', (transport: { close(): unknown; on(name: string, done: () => void): void }) => {
      this.#transports.add(transport);
      transport.on('close', () => this.#transports.delete(transport));
    });
  }

  async listen(): Promise<this> {
    await new Promise<void>((resolve) => this.#http.listen(0, '127.0.0.1', resolve));
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#http.address() as AddressInfo).port}`;
  }

  get sockets(): number {
    return this.#io.of('/').sockets.size;
  }

  get connections(): number {
    return this.#connections;
  }

  async close(): Promise<void> {
    await this.#io.close();
  }

  /** Ends every connection as a broken network would. */
  cut(): void {
    for (const transport of this.#transports) transport.close();
  }

  /** Ends every connection from the server's side. */
  kick(): void {
    this.#io.disconnectSockets(true);
  }

  emit(name: string, data: object): void {
    for (const socket of this.#io.of('/').sockets.values()) {
      for (let n = this.copies(); n > 0; n--) socket.emit(name, data);
    }
  }

  callsOf(name: string): Call[] {
    return this.calls.filter((call) => call.name === name);
  }

  addChat(messages = 0): Chat {
    const now = new Date().toISOString();
    const chat: Chat = {
      id: newId(),
      kind: 'group',
      memberCount: 1,
      members: [{ userId: this.userId, role: 'owner' }],
      lastSeq: 0,
      lastMessage: null,
      lastActivityAt: now,
      status: 'active',
      role: 'owner',
      lastReadSeq: 0,
      unread: 0,
      starred: false,
      archived: false,
      createdAt: now,
    };
    this.chats.set(chat.id, chat);
    this.logs.set(chat.id, []);
    for (let i = 0; i < messages; i++) this.append(chat.id, `${i}`);
    return chat;
  }

  /** Writes a message to the log; the same `clientId` gives the first. */
  append(chatId: string, content: string, clientId?: string): Message {
    const log = this.logs.get(chatId) as Message[];
    const first = clientId && log.find((message) => message.metadata.clientId === clientId);
    if (first) return first;
    const message: Message = {
      id: newId(),
      chatId,
      seq: log.length + 1,
      rev: log.length + 1,
      sender: { type: 'user', userId: this.userId },
      type: 'text',
      content,
      attachments: [],
      metadata: clientId ? { clientId } : {},
      mentions: [],
      reactions: [],
      createdAt: new Date().toISOString(),
    };
    log.push(message);
    return message;
  }

  /** The message's event to everyone. */
  tell(message: Message): void {
    this.emit('message:created', { chatId: message.chatId, rev: message.rev, message });
  }

  post(chatId: string, content: string): Message {
    const message = this.append(chatId, content);
    this.tell(message);
    return message;
  }

  #serve(socket: Socket): void {
    const connection = ++this.#connections;
    let underWay = 0;
    socket.onAny((name: string, input: Record<string, unknown>, ack: (answer: Answer) => void) => {
      const call: Call = { name, input, connection };
      this.calls.push(call);
      this.mostUnderWay = Math.max(this.mostUnderWay, ++underWay);
      const answer = (): void => {
        underWay--;
        ack(this.#handle(call));
      };
      const fate = this.fate(call);
      if (fate instanceof Promise) void fate.then(answer);
      else if (typeof fate === 'object') ack(fate);
      else if (fate === 'answer') answer();
      else if (fate === 'cut') socket.conn.close();
      else if (fate !== 'lose') {
        this.#handle(call);
        if (fate === 'cut-after') socket.conn.close();
      }
    });
    if (!this.greets) return;
    socket.emit('hello', {
      protocol: 1,
      serverId: 'scripted',
      userId: this.userId,
      sessionId: newId(),
      expiresInSeconds: 900,
      limits: {},
    });
  }

  #handle({ name, input }: Call): Answer {
    const own = this.handlers[name];
    if (own) return { ok: true, data: own(input) };
    const chatId = input.chatId as string;
    const log = this.logs.get(chatId);
    const heads = (): { chatId: string; rev: number; seq: number }[] =>
      Array.from(this.logs, ([chatId, { length }]) => ({ chatId, rev: length, seq: length }));
    switch (name) {
      case 'chat:heads': {
        const named = input.chatIds as string[] | undefined;
        return { ok: true, data: { items: heads().filter((head) => !named || named.includes(head.chatId)) } };
      }
      case 'ai:resume': {
        const stream = this.streams.get(input.streamId as string);
        if (!stream) return fault('not_found');
        const offset = input.offset as number;
        const message = this.logs.get(stream.chatId)?.find(({ id }) => id === stream.messageId);
        return {
          ok: true,
          data: { text: stream.text.slice(offset), offset, status: stream.status, ...(message ? { message } : {}) },
        };
      }
      case 'presence:set':
      case 'chat:leave':
        return { ok: true, data: {} };
      default:
    }
    if (!log) return fault('not_found');
    const head = { rev: log.length, seq: log.length };
    switch (name) {
      case 'chat:get':
        return { ok: true, data: { chat: this.chats.get(chatId) } };
      case 'chat:join': {
        const running = Array.from(this.streams.values()).filter((s) => s.chatId === chatId && s.status === 'running');
        const streams = running.map(({ streamId, messageId, text }) => ({ streamId, messageId, offset: text.length }));
        return { ok: true, data: { chat: this.chats.get(chatId), messages: log.slice(-50), head, streams } };
      }
      case 'chat:sync': {
        const after = input.after as number;
        const floor = this.floors.get(chatId) ?? 0;
        if (after < floor) {
          return {
            ok: true,
            data: { items: [], position: floor, head, more: true, membersChanged: false, reset: true },
          };
        }
        const items = log.slice(after, after + (input.limit as number));
        const position = after + items.length;
        return { ok: true, data: { items, position, head, more: position < log.length, membersChanged: false } };
      }
      case 'message:list':
        return { ok: true, data: { items: log.slice(-50), head } };
      case 'message:send': {
        const before = log.length;
        const message = this.append(chatId, input.content as string, input.clientId as string);
        if (log.length > before) this.tell(message);
        const { id, seq, rev, createdAt } = message;
        return { ok: true, data: { id, seq, rev, createdAt } };
      }
      default:
        return fault('not_found');
    }
  }
}
