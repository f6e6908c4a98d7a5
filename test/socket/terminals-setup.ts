/** Terminals on one or two nodes with real gateways and a real agent; who may do what in the project is what a test says. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo, Socket as TcpSocket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express from 'express';
import { io, type Socket } from 'socket.io-client';
import { expect } from 'vitest';
import { createPulledStreams } from '../../src/cluster/index.ts';
import type { ProjectPort, ProjectRole } from '../../src/features/projects/index.ts';
import { terminalsContract, terminalsEvents } from '../../src/features/terminals/contract.ts';
import { createTerminals, type OwnedTerminals, type TerminalsFeature } from '../../src/features/terminals/index.ts';
import { createGateway, type Gateway } from '../../src/gateway/gateway.ts';
import { createCall, Fault, projectRoom, type Input, type Output } from '../../src/protocol/index.ts';
import type { AgentLink } from '../../src/sandbox/agent-link.ts';
import { createDiskBlobs } from '../../src/storage/blobs/disk-blobs.ts';
import { createStage, type AgentProcess, type Stage } from '../sandbox/agent-process.ts';
import { createBusNetwork, type BusNetwork } from '../support/bus-network.ts';
import { silentLog } from '../support/log.ts';

/** Programs, sockets and nodes are waited for longer than a test's own steps. */
export const eventually = <T>(read: () => T): ReturnType<typeof expect.poll<T>> =>
  expect.poll(read, { timeout: 20_000 });
export const newId = (): string => randomBytes(12).toString('hex');
type Contract = typeof terminalsContract;
type Attached = Output<Contract['terminal:attach']>;

export interface Node {
  id: string;
  url: string;
  feature: TerminalsFeature;
  gateway: Gateway<typeof terminalsEvents>;
}

export interface Stand extends AsyncDisposable {
  projectId: string;
  nodes: Node[];
  network: BusNetwork;
  stage: Stage;
  agent: AgentProcess;
  link(): AgentLink;
  workDir: string;
  bugs: unknown[];
  /** Changes what somebody may do in the project; undefined: nothing. Everybody is told. */
  allow(userId: string, role: ProjectRole | undefined, isPublic?: boolean): void;
  /** A member's socket, on the first node if no other is named. */
  join(role: ProjectRole | undefined, node?: number): Promise<Member>;
  /** The sandbox goes to another node, which has a link of its own to the agent. */
  moveTo(node: number): Promise<void>;
  /** The sandbox stops. */
  lose(): Promise<void>;
  /** Cuts all connections to a node; who reconnects is let in. */
  cut(node: number): void;
  /** A node is gone without a word. */
  kill(node: number): void;
}

export interface Member {
  userId: string;
  socket: Socket;
  call<K extends keyof Contract>(name: K, input: Input<Contract[K]>): Promise<Output<Contract[K]>>;
  /** Everything heard of one kind. */
  heard(name: keyof typeof terminalsEvents): unknown[];
  open(input?: Partial<Input<Contract['terminal:open']>>): Promise<Screen>;
  /** In place of a `former` attachment of this socket, which hears nothing more from the answer on. */
  attach(terminalId: string, input?: Partial<Input<Contract['terminal:attach']>>, former?: Screen): Promise<Screen>;
  /** The client's end of the connection stops to read, and goes on. Meanwhile it says that it is there. */
  stopReading(): void;
  readOn(): void;
}

/** What a viewer has been given. */
export interface Screen {
  terminalId: string;
  attached: Attached;
  /** Runs of output without a gap; each but the first begins with a snapshot. */
  runs: { from: number; data: Buffer; snapshot: Buffer | undefined }[];
  position: () => number;
  text: () => string;
  end: () => { code: number | null; signal: string | null; reason?: string } | undefined;
  sees(text: string): Promise<void>;
  ends(): Promise<void>;
  /** Hears nothing more. */
  leave(): void;
  /** What came although it should not, or not there. */
  wrong: string[];
}

export async function createStand({ nodes: nodeCount = 1 } = {}): Promise<Stand> {
  const stage = await createStage();
  const workDir = await mkdtemp(join(tmpdir(), 'work-'));
  const network = createBusNetwork();
  const projectId = newId();
  const roles = new Map<string, ProjectRole>();
  let isOpenToAll = false;
  const accessListeners = new Set<Parameters<ProjectPort['onAccessChanged']>[0]>();
  const deathListeners = new Set<(nodeId: string) => void>();
  const bugs: unknown[] = [];
  const ends: (() => Promise<void>)[] = [];
  const nodes: (Node & { connections: Set<TcpSocket> })[] = [];
  let fence = 1;
  let link = await stage.link({ fence });
  const agent = stage.agent();
  let owned: { node: number; terminals: OwnedTerminals } | undefined;
  const blobsFolder = await mkdtemp(join(tmpdir(), 'blobs-'));

  const projects: Pick<ProjectPort, 'require' | 'onAccessChanged'> = {
    async require(project, userId, may) {
      const role = project === projectId ? roles.get(userId) : undefined;
      if (project !== projectId || (!role && !isOpenToAll)) throw new Fault('not_found', 'There is no such project');
      const access = role === 'owner' || role === 'editor' ? 'write' : 'read';
      if (may !== 'read' && access === 'read') throw new Fault('forbidden', 'Only its owner and editors may do that');
      return { projectId, role, access };
    },
    onAccessChanged(listener) {
      accessListeners.add(listener);
      return () => accessListeners.delete(listener);
    },
  };

  for (let n = 0; n < nodeCount; n++) nodes.push(await startNode(n));
  own(0);

  async function startNode(n: number): Promise<(typeof nodes)[number]> {
    const id = `node-${n}`;
    const bus = network.node();
    const streams = createPulledStreams({ bus, nodeId: id, log: silentLog });
    const app = express();
    const http = createServer(app);
    const connections = new Set<TcpSocket>();
    http.on('connection', (tcp) => {
      connections.add(tcp);
      tcp.once('close', () => connections.delete(tcp));
    });
    const now = (): number => Date.now();
    const gateway = createGateway({
      httpServer: http,
      bus,
      events: terminalsEvents,
      checkEvents: true,
      protocolVersion: 1,
      serverId: id,
      trustedHops: 0,
      allowsOrigin: () => true,
      capScale: 0,
      onSlowReader: (slow) => bugs.push(slow),
      onBug: (error) => bugs.push(error),
      now,
    });
    const feature = createTerminals({
      rooms: gateway.rooms,
      bus,
      streams,
      nodeId: id,
      onNodeDeath(listener) {
        deathListeners.add(listener);
        return () => deathListeners.delete(listener);
      },
      projects,
      async ownerOf() {
        if (!owned) return undefined;
        return owned.node === n ? owned.terminals.owner : feature.ownerOn(`node-${owned.node}`, projectId);
      },
      authorOf: async () => ({ name: 'Ada', email: 'ada@example.com' }),
      blobs: await createDiskBlobs({ directory: blobsFolder }),
      limits: { take: () => {} },
      secret: 'a secret of a test',
      log: silentLog,
      now,
    });
    app.use(feature.routes());
    gateway.serve({
      call: createCall(terminalsContract, feature.handlers, {
        limit: () => {},
        observe: () => {},
        onBug: (error) => bugs.push(error),
      }),
      authenticate: async (userId) => ({ userId, sessionId: newId(), expiresAtMs: Date.now() + 3_600_000 }),
      hooks: [
        feature,
        {
          async connected({ id: connectionId, userId }) {
            if (roles.has(userId)) gateway.rooms.join({ connectionId }, projectRoom(projectId));
          },
        },
      ],
    });
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    ends.push(async () => {
      const closed = gateway.close();
      // Who does not read would not say good-bye.
      for (const tcp of connections) tcp.destroy();
      await closed;
      await feature.close();
      await streams.close();
      await bus.close();
    });
    return { id, url, feature, gateway, connections };
  }

  function own(node: number): void {
    const sandbox = {
      link,
      workDir,
      env: { PATH: process.env['PATH'] ?? '', HOME: workDir, LANG: 'C.UTF-8' },
      owner: undefined,
      asUser: (argv: readonly string[]) => [...argv],
    };
    owned = { node, terminals: (nodes[node] as Node).feature.own(projectId, sandbox, async () => {}) };
  }

  const sockets: Socket[] = [];
  return {
    projectId,
    nodes,
    network,
    stage,
    agent,
    link: () => link,
    workDir,
    bugs,
    allow(userId, role, isPublic = isOpenToAll) {
      if (role) roles.set(userId, role);
      else roles.delete(userId);
      isOpenToAll = isPublic;
      for (const listener of accessListeners) listener({ projectId, userIds: [userId] });
    },
    async join(role, node = 0) {
      const userId = newId();
      if (role) roles.set(userId, role);
      const member = await connect((nodes[node] as Node).url, userId, projectId);
      sockets.push(member.socket);
      return member;
    },
    async moveTo(node) {
      const former = owned;
      const formerLink = link;
      link = await stage.link({ fence: ++fence });
      own(node);
      await former?.terminals.close('moved');
      await formerLink.stop();
    },
    async lose() {
      const former = owned;
      owned = undefined;
      await former?.terminals.close('lost');
    },
    cut(node) {
      for (const tcp of nodes[node]?.connections ?? []) tcp.destroy();
    },
    kill(node) {
      for (const listener of deathListeners) listener(`node-${node}`);
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.close();
      for (const end of ends) await end();
      await stage[Symbol.asyncDispose]();
      for (const folder of [workDir, blobsFolder]) await rm(folder, { recursive: true, force: true });
      expect(bugs).toEqual([]);
    },
  };
}

/** What a client's connection is made of. */
interface Transport {
  ws: { _socket: { pause(): void; resume(): void } };
  onPacket(packet: { type: 'ping' }): void;
}

/** Often enough for the server, which waits for `pingIntervalMs` and `pingTimeoutMs`. */
const PING_MS = 1_000;

async function connect(url: string, userId: string, projectId: string): Promise<Member> {
  const socket = io(url, { auth: { token: userId }, transports: ['websocket'], forceNew: true, reconnection: false });
  const all = new Map<string, unknown[]>();
  socket.onAny((name: string, data: unknown) => {
    const ofName = all.get(name);
    if (ofName) ofName.push(data);
    else all.set(name, [data]);
  });
  await once(socket as never, 'hello');
  const call: Member['call'] = async (name, input) => {
    const answer = (await socket.timeout(20_000).emitWithAck(name, input)) as
      | { ok: true; data: never }
      | { ok: false; error: { code: string; message: string } };
    if (answer.ok) return answer.data;
    throw Object.assign(new Error(`${name}: ${answer.error.message}`), answer.error);
  };
  const transport = (): Transport => socket.io.engine.transport as unknown as Transport;
  let living: NodeJS.Timeout | undefined;
  return {
    userId,
    socket,
    call,
    heard: (name) => all.get(name) ?? [],
    open: (input = {}) => watch(socket, 'terminal:open', { projectId, cols: 80, rows: 24, ...input }, 0),
    attach: (terminalId, input = {}, former) =>
      watch(socket, 'terminal:attach', { terminalId, ...input }, input.after ?? 0, former),
    stopReading() {
      transport().ws._socket.pause();
      clearInterval(living);
      // As if the server had asked: neither end takes the other for gone, however long a busy machine needs.
      living = setInterval(() => transport().onPacket({ type: 'ping' }), PING_MS);
      socket.once('disconnect', () => clearInterval(living));
    },
    readOn() {
      clearInterval(living);
      transport().ws._socket.resume();
    },
  };
}

type Heard = { terminalId: string; offset: number; data: Uint8Array };

/** What comes after the answer is of this attachment, and what came before of the one before. */
function watch(socket: Socket, name: string, input: unknown, after: number, former?: Screen): Promise<Screen> {
  return new Promise((resolve, reject) => {
    type Outcome = { ok: true; data: Attached } | { ok: false; error: { code: string; message: string } };
    socket.timeout(20_000).emit(name, input, (late: Error | null, answer: Outcome) => {
      former?.leave();
      if (late) reject(late);
      else if (answer.ok) resolve(screenOf(socket, answer.data, after));
      else reject(Object.assign(new Error(`${name}: ${answer.error.message}`), answer.error));
    });
  });
}

function screenOf(socket: Socket, attached: Attached, after: number): Screen {
  const { terminalId } = attached;
  const runs: Screen['runs'] = [];
  const wrong: string[] = [];
  let end: ReturnType<Screen['end']>;
  let position = after;
  let parts: Buffer[] = [];
  const begin = (from: number, snapshot: Buffer | undefined): Screen['runs'][number] => {
    const run = { from, data: Buffer.alloc(0), snapshot };
    runs.push(run);
    return run;
  };
  const flush = (): void => {
    const run = runs.at(-1) ?? begin(after, undefined);
    if (parts.length > 0) run.data = Buffer.concat([run.data, ...parts]);
    parts = [];
  };
  const output = ({ offset, data }: { offset: number; data: Uint8Array }): void => {
    if (end) wrong.push('output after the end');
    if (offset !== position) wrong.push(`output at ${offset} instead of ${position}`);
    parts.push(Buffer.from(data));
    position = offset + data.length;
  };
  const replace = ({ offset, data }: { offset: number; data: Uint8Array }): void => {
    flush();
    position = offset;
    begin(offset, Buffer.from(data));
  };
  begin(after, undefined);
  if (attached.snapshot) replace(attached.snapshot);
  for (const chunk of attached.chunks) output(chunk);
  if (attached.offset !== position) wrong.push(`the answer says ${attached.offset} instead of ${position}`);
  const take = (name: string, data: Heard): void => {
    if (data.terminalId !== terminalId) return;
    if (name === 'terminal:output') output(data);
    else if (name === 'terminal:snapshot') replace(data);
    else if (name === 'terminal:exited') end = data as unknown as ReturnType<Screen['end']>;
  };
  socket.onAny(take);
  const text = (): string => {
    flush();
    return runs.map((run) => (run.snapshot?.toString() ?? '') + run.data.toString()).join('');
  };
  return {
    terminalId,
    attached,
    get runs() {
      flush();
      return runs;
    },
    position: () => position,
    text,
    end: () => end,
    sees: (part) => eventually(text).toContain(part),
    ends: () => eventually(() => end).toBeDefined(),
    leave: () => void socket.offAny(take),
    wrong,
  };
}
