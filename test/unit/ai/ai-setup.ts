/** A node with chats and assistants on a database of its own, a provider that says what a test tells it, and a room's ear. */
import { randomBytes } from 'node:crypto';
import type { Connection } from 'mongoose';
import { chatEvents } from '../../../src/features/chat/contract.ts';
import { createChat, type ChatService } from '../../../src/features/chat/index.ts';
import { aiContract, aiEvents } from '../../../src/features/ai/contract.ts';
import { createAi, type Ai, type AiDeps } from '../../../src/features/ai/index.ts';
import type { AiPart, AiProvider, AiRequest } from '../../../src/features/ai/provider.ts';
import type { AuditEntry } from '../../../src/observability/audit.ts';
import { withResolvers, type Input, type Output, type Rooms, type UserContext } from '../../../src/protocol/index.ts';
import { ensureIndexes } from '../../../src/storage/database.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
import { createTestCluster, type TestCluster } from './test-cluster.ts';
import { createTestLog, type TestLog } from './test-log.ts';

const events = { ...aiEvents, ...chatEvents };

export interface HeardEvent {
  room: string;
  event: string;
  data: Record<string, unknown>;
}

export interface TestRooms extends Rooms {
  heard: HeardEvent[];
  listen(listener: (event: HeardEvent) => void): void;
}

/** Rooms that keep what they hear, after checking it against the contract. */
export function createTestRooms(): TestRooms {
  const heard: HeardEvent[] = [];
  const listeners: ((event: HeardEvent) => void)[] = [];
  const hear = (room: string, event: string, data: unknown): void => {
    const definition = events[event as keyof typeof events];
    const entry = { room, event, data: definition.data.parse(data) as Record<string, unknown> };
    heard.push(entry);
    for (const listener of listeners) listener(entry);
  };
  return {
    heard,
    listen: (listener) => void listeners.push(listener),
    emit: hear,
    emitHere: hear,
    send: () => {},
    encode: (event, data) => [JSON.stringify([event, data])],
    deliver(room, [text]) {
      const [event, data] = JSON.parse(String(text)) as [string, unknown];
      hear(room, event, data);
    },
    deliverTo() {},
    waitingBytes: () => 0,
    onTaken() {},
    relay() {},
    onRelayed: () => () => {},
    tell() {},
    onTold: () => () => {},
    hold: () => () => {},
    async listening() {},
    join() {},
    leave() {},
    has: () => true,
    size: () => 2,
    of: () => [],
    connections: () => [],
  };
}

/** One answer under a test's control. */
export interface Answer {
  request: AiRequest;
  signal: AbortSignal;
  say(text: string): void;
  part(part: AiPart): void;
  finish(reason?: 'end' | 'max_tokens' | 'refused'): void;
  fail(error: Error): void;
}

export interface TestProvider extends AiProvider {
  answers: Answer[];
  /** The answer number `index`, as soon as it has begun. */
  answer(index: number): Promise<Answer>;
}

export function createTestProvider(): TestProvider {
  const answers: Answer[] = [];
  let begun = withResolvers();
  return {
    name: 'test',
    model: 'test-model',
    answers,
    async answer(index) {
      while (answers.length <= index) await begun.promise;
      return answers[index] as Answer;
    },
    async *stream(request, signal) {
      const queue: (AiPart | Error)[] = [];
      let wake = withResolvers();
      const add = (item: AiPart | Error): void => {
        queue.push(item);
        wake.resolve();
      };
      answers.push({
        request,
        signal,
        say: (text) => add({ type: 'text', text }),
        part: add,
        finish: (reason = 'end') => add({ type: 'stop', reason }),
        fail: add,
      });
      begun.resolve();
      begun = withResolvers();
      for (;;) {
        const item = queue.shift();
        if (item instanceof Error) throw item;
        if (item) {
          yield item;
          if (item.type === 'stop') return;
        } else {
          wake = withResolvers();
          await wake.promise;
        }
      }
    },
  };
}

export interface TestNode {
  ai: Ai;
  chat: ChatService;
  rooms: TestRooms;
  provider: TestProvider;
  log: TestLog;
  audited: AuditEntry[];
  id: string;
  /** Calls an operation as a user; input and output go through the contract. */
  call<K extends keyof typeof aiContract>(
    operation: K,
    userId: string,
    input: Input<(typeof aiContract)[K]>,
    signal?: AbortSignal,
  ): Promise<Output<(typeof aiContract)[K]>>;
  /** The events of a stream, in their order. */
  of(streamId: string): HeardEvent[];
  /** Resolves with the event that ends a stream. */
  ended(streamId: string): Promise<HeardEvent>;
  close(): Promise<void>;
}

export interface TestSystem extends AsyncDisposable {
  database: TestDatabase;
  cluster: TestCluster;
  /** Another node on the same database. */
  addNode(deps?: Partial<AiDeps>): Promise<TestNode>;
  group(...userIds: string[]): Promise<string>;
}

export const newId = (): string => randomBytes(12).toString('hex');

export async function startSystem(): Promise<TestSystem> {
  const database = await openTestDatabase();
  const cluster = createTestCluster();
  const nodes: TestNode[] = [];
  return {
    database,
    cluster,
    async addNode(deps = {}) {
      // A view of the connection of its own: models are made once per connection.
      const connection = database.connection.useDb(database.connection.name);
      const node = await createTestNode(connection, cluster, deps);
      await ensureIndexes(connection);
      nodes.push(node);
      return node;
    },
    async group(owner, ...memberIds) {
      const [node] = nodes;
      if (!node || owner === undefined) throw new Error('A group needs a node and an owner');
      return (await node.chat.create(owner, { kind: 'group', memberIds, name: 'Group' })).id;
    },
    async [Symbol.asyncDispose]() {
      for (const node of nodes) await node.close();
      await cluster.close();
      await database.close();
    },
  };
}

/** What chats need of projects where there are none. */
export const withoutProjects = {
  projects: { requireWriter: async () => {}, standing: async () => undefined },
  jobs: { handle: () => {}, enqueue: async () => ({ jobId: '', isNew: true }) },
};

async function createTestNode(connection: Connection, cluster: TestCluster, deps: Partial<AiDeps>): Promise<TestNode> {
  const rooms = createTestRooms();
  const log = createTestLog();
  const provider = createTestProvider();
  const audited: AuditEntry[] = [];
  const chat = createChat({
    connection,
    rooms,
    bus: cluster.bus,
    audit: { record: () => {}, flush: async () => {} },
    log,
    now: Date.now,
    nameOf: async () => new Map(),
    existingUsers: async (userIds) => userIds,
    blocks: { between: async () => new Set(), of: async () => new Set() },
    attachments: {
      claim: async () => [],
      view: (info) => ({ ...info, url: '', urlExpiresAt: new Date().toISOString() }),
      release: async () => {},
    },
    ...withoutProjects,
  });
  const { nodes, leases } = await cluster.join(connection);
  const ai = createAi({
    connection,
    chat: chat.service,
    rooms,
    streamLog: cluster.streamLog,
    nodes,
    leases,
    provider,
    audit: { record: (entry) => void audited.push(entry), flush: async () => {} },
    log,
    nameOf: async (userIds) => new Map(userIds.map((id) => [id, `User ${id.slice(0, 4)}`])),
    ...deps,
  });
  const of = (streamId: string): HeardEvent[] => rooms.heard.filter(({ data }) => data.streamId === streamId);
  const endOf = (streamId: string): HeardEvent | undefined =>
    of(streamId).find(({ event }) => event === 'ai:finished' || event === 'ai:failed');
  let closing: Promise<void> | undefined;
  return {
    ai,
    chat: chat.service,
    rooms,
    provider,
    log,
    audited,
    id: nodes.id,
    of,
    async call(operation, userId, input, signal = new AbortController().signal) {
      const context: UserContext = {
        session: { userId, sessionId: newId(), expiresAtMs: Number.MAX_SAFE_INTEGER },
        connectionId: undefined,
        origin: { ip: '127.0.0.1', userAgent: 'test' },
        requestId: 'test',
        signal,
        release: () => {},
      };
      const definition = aiContract[operation];
      const handle = ai.handlers[operation] as (input: unknown, context: UserContext) => Promise<unknown>;
      return definition.output.parse(await handle(definition.input.parse(input), context)) as never;
    },
    ended: (streamId) =>
      new Promise((resolve) => {
        const look = (): void => {
          const end = endOf(streamId);
          if (end) resolve(end);
        };
        rooms.listen(look);
        look();
      }),
    close: () =>
      (closing ??= (async () => {
        await ai.close();
        await chat.close();
      })()),
  };
}
