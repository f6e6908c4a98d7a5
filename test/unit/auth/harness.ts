/** Auth and users on a database of their own, called as the transports call them, on a clock that stands still. */
import { authContract } from '../../../src/features/auth/contract.ts';
import { createAuth, type Auth, type AuthDeps } from '../../../src/features/auth/index.ts';
import { usersContract, type Profile } from '../../../src/features/users/contract.ts';
import { createUsers, type Users } from '../../../src/features/users/index.ts';
import { createLimits, createMemoryBus, type Bus } from '../../../src/cluster/index.ts';
import { createAudit, type AuditRecord, type Log } from '../../../src/observability/index.ts';
import { createCall, Fault, type Answer, type Caller, type Origin } from '../../../src/protocol/index.ts';
import { ensureIndexes, type Connection } from '../../../src/storage/database.ts';
import { openTestDatabase } from '../../support/database.ts';

export const SECRET = 'a-secret-for-access-tokens-of-this-test';
export const PEPPER = 'a-pepper-for-passwords-of-this-test';
export const GOOD_PASSWORD = 'correct horse battery';
export const HOME: Origin = { ip: '198.51.100.7', userAgent: 'test/1' };

export interface Tokens {
  accessToken: string;
  refreshToken: string;
  expiresInSeconds: number;
}
export type SignedIn = Tokens & { user: Profile };

export interface Clock {
  now: () => number;
  advance: (ms: number) => void;
}

export interface Node {
  auth: Auth;
  users: Users;
  /** Calls an operation as a transport does; answers as it would. */
  call: (name: string, input: unknown, as?: Partial<Caller>) => Promise<Answer<unknown>>;
  /** The data of an answer that must be a success. */
  ok: <T = SignedIn>(name: string, input: unknown, as?: Partial<Caller>) => Promise<T>;
  /** The error's code of an answer that must be one. */
  code: (name: string, input: unknown, as?: Partial<Caller>) => Promise<string>;
}

export interface World extends Node, AsyncDisposable {
  connection: Connection;
  clock: Clock;
  bus: Bus;
  /** Everything that was said on the bus's topic for all nodes. */
  notices: unknown[];
  /** Errors that a handler did not expect. */
  bugs: unknown[];
  logged: string[];
  /** Another node on the same database, clock and bus. */
  node: (options?: Options) => Node;
  audited: (action: string) => Promise<AuditRecord[]>;
}

export type Options = Partial<
  Pick<AuthDeps, 'otp' | 'jwtSecrets' | 'passwordCost' | 'accessTokenSeconds' | 'refreshTokenDays'>
>;

export async function openAuth(options: Options = {}): Promise<World> {
  const database = await openTestDatabase();
  const { connection } = database;
  let at = Math.floor(Date.now() / 1000) * 1000;
  const clock: Clock = { now: () => at, advance: (ms) => (at += ms) };
  const logged: string[] = [];
  const log = logInto(logged);
  const bus = createMemoryBus({ log });
  const limits = createLimits({ scale: 1 });
  const audit = createAudit({ connection, log, now: clock.now });
  const notices: unknown[] = [];
  bus.subscribe('all', (notice) => void notices.push(notice));
  const bugs: unknown[] = [];
  const nodes: Auth[] = [];

  const node = (own: Options = {}): Node => {
    const users = nodes.length === 0 ? createUsers({ connection, now: clock.now }) : first.users;
    const auth = createAuth({
      // Models are made once on a connection.
      connection: nodes.length === 0 ? connection : connection.useDb(connection.name),
      users,
      limits,
      bus,
      audit,
      log,
      now: clock.now,
      accessTokenSeconds: 900,
      refreshTokenDays: 30,
      jwtSecrets: [SECRET],
      authPepper: PEPPER,
      otp: { provider: { kind: 'console' }, countries: [], hourlyCap: 1_000 },
      passwordCost: 4,
      ...options,
      ...own,
    });
    nodes.push(auth);
    const run = createCall(
      { ...authContract, ...usersContract },
      { ...auth.handlers, ...users.handlers },
      { limit: () => {}, observe: () => {}, onBug: (error) => void bugs.push(error) },
    );
    const call: Node['call'] = (name, input, as = {}) =>
      run(name, input, { session: undefined, origin: HOME, requestId: 'r', ...as });
    return {
      auth,
      users,
      call,
      async ok<T>(name: string, input: unknown, as?: Partial<Caller>) {
        const answer = await call(name, input, as);
        if (!answer.ok) throw new Error(`${name}: ${JSON.stringify(answer.error)}`, { cause: bugs.at(-1) });
        return answer.data as T;
      },
      async code(name, input, as) {
        const answer = await call(name, input, as);
        return answer.ok ? 'ok' : answer.error.code;
      },
    };
  };
  const first: Node = node();
  await ensureIndexes(connection);

  return {
    ...first,
    connection,
    clock,
    bus,
    notices,
    bugs,
    logged,
    node,
    async audited(action) {
      await audit.flush();
      return connection.collection<AuditRecord>('audit').find({ action }).sort({ _id: 1 }).toArray();
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(nodes.map((auth) => auth.close()));
      await audit.close();
      await limits.close();
      await bus.close();
      await database[Symbol.asyncDispose]();
    },
  };
}

let people = 0;
export const newcomer = (): { email: string; password: string; name: string } => {
  people++;
  return { email: `person${people}@example.com`, password: GOOD_PASSWORD, name: `Person ${people}` };
};

/** A caller whose session is that of an access token. */
export const as = async (auth: Auth, accessToken: string, origin: Origin = HOME): Promise<Partial<Caller>> => ({
  session: await auth.authenticate(accessToken),
  origin,
});

/** The same thing so many times at once, on the nodes in turn. */
export const atOnce = <T>(nodes: readonly Node[], times: number, work: (node: Node) => Promise<T>): Promise<T[]> =>
  Promise.all(Array.from({ length: times }, (_, i) => work(nodes[i % nodes.length] as Node)));

/** The code of the fault that a promise rejects with. */
export const faultOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'ok',
    (error: unknown) => (error instanceof Fault ? error.code : `not a fault: ${String(error)}`),
  );

function logInto(lines: string[]): Log {
  const write = (message: string, fields?: unknown): void =>
    void lines.push(`${message} ${JSON.stringify(fields ?? {})}`);
  const log: Log = { debug: write, info: write, warn: write, error: write, child: () => log };
  return log;
}
