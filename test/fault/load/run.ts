/** One scenario, once: a deployment, a crowd under way, the fault, and what is found afterwards. */
import { setTimeout as pause } from 'node:timers/promises';
import { startCluster, type TestCluster } from '../../support/cluster.ts';
import { Ends } from '../../support/ends.ts';
import { signUp } from '../../support/people.ts';
import { randomOf, shuffled, type Random } from '../../support/random.ts';
import type { Person } from '../../support/server.ts';
import { check, readLog, type Findings } from './check.ts';
import type { LoadClient, Outage } from './load-client.ts';
import { Load } from './load.ts';
import { startPlainClient } from './plain-client.ts';
import { GhostWatch } from './presence.ts';
import { startSdkClient, type SdkClient } from './sdk-client.ts';
import { Stage, type Scenario } from './stage.ts';

export interface RunOptions {
  seed: number;
  clients: number;
  chats: number;
  /** Messages a second. */
  rate: number;
  /** Load before the fault, and after it is healed. */
  beforeMs: number;
  afterMs: number;
  /** False: faults last just long enough to matter. */
  full: boolean;
}

export interface Outcome extends Findings {
  scenario: string;
  seed: number;
  sent: number;
  acked: number;
  /** The slowest; undefined when the scenario has none. */
  ghostsGoneMs: number | undefined;
  /** Users whose presence is wrong in the end. */
  presenceWrong: number;
  /** From the moment a client knew of its cut (and there was something to come back to) until it was ready again. */
  backMs: number[];
  /** From a silent cut. */
  backFromCutMs: number[];
  neverBack: number;
  faults: string[];
}

/** Chats that each client is in, besides everybody's. */
const CHATS_PER_CLIENT = 2;
/** One client in so many has no SDK. */
const PLAIN_ONE_IN = 4;
const CONNECT_AT_ONCE = 20;
/** A chat begins with at most 200 members. */
const LOBBY_AT_ONCE = 150;
const ANSWERED_TIMEOUT_MS = 60_000;
const WHOLE_TIMEOUT_MS = 60_000;
const PRESENCE_TIMEOUT_MS = 30_000;

export async function runScenario(scenario: Scenario, options: RunOptions): Promise<Outcome> {
  const random = randomOf(options.seed);
  await using cluster = await startCluster({ nodes: scenario.nodes, redis: scenario.nodes > 1 });
  await using ends = new Ends();
  const { clients, watchers, chats } = await gather(cluster, options, random, ends);
  const load = new Load(clients, chats, random);
  const watch = new GhostWatch(watchers);
  const stage = new Stage({ cluster, clients, load, watch, random, full: options.full });

  load.start(options.rate);
  await pause(options.beforeMs);
  await scenario.run(stage);
  await pause(options.afterMs);
  const unanswered = await load.stop(ANSWERED_TIMEOUT_MS);
  const health = unanswered > 0 ? [...(await Promise.all(cluster.nodes.map(healthOf))), refusalsOf(clients)] : [];

  const reader = watchers[0] as SdkClient;
  const world = cluster.world();
  const stayed = clients.filter((client) => !stage.gone.has(client));
  const findings = await check({
    acked: load.acked,
    listeners: new Map(stayed.map((client) => [client, [...(chats.of.get(client) ?? []), chats.lobby]])),
    read: (chatId) => readLog(world, reader.person, chatId),
    timeoutMs: WHOLE_TIMEOUT_MS,
  });
  const ghostsGoneMs = await watch.goneAfterMs(PRESENCE_TIMEOUT_MS);
  const wrong = await watch.wrong(
    stayed.map(({ person }) => person.id),
    PRESENCE_TIMEOUT_MS,
  );
  const outages = stayed.flatMap((client) => client.outages);
  return {
    ...findings,
    scenario: scenario.name,
    seed: options.seed,
    sent: load.sent,
    acked: load.acked.length,
    ghostsGoneMs,
    presenceWrong: wrong.length,
    ...returns(outages, stage, scenario.silent),
    faults: [
      ...(unanswered > 0 ? [`${unanswered} messages were never answered: ${health.join('; ')}`] : []),
      ...stayed.flatMap(({ faults }) => faults),
      ...wrong,
      ...errorsOf(cluster),
    ],
  };
}

interface Crowd {
  clients: LoadClient[];
  watchers: SdkClient[];
  chats: { lobby: string; of: Map<LoadClient, string[]> };
}

/** People, their chats, their connections. Watchers are in all chats and write nothing, one on each node. */
async function gather(cluster: TestCluster, options: RunOptions, random: Random, ends: Ends): Promise<Crowd> {
  const world = cluster.world();
  const people = await signUp(world, options.clients + cluster.nodes.length);
  const crowd = people.slice(cluster.nodes.length);
  const watching = people.slice(0, cluster.nodes.length);
  const places = new Map<Person, string[]>(crowd.map((person) => [person, []]));
  const size = Math.ceil((crowd.length * CHATS_PER_CLIENT) / options.chats);
  const turns = Array.from({ length: CHATS_PER_CLIENT }, () => shuffled(random, crowd)).flat();
  for (let n = 0; n < options.chats; n++) {
    const members = [...new Set(turns.slice(n * size, (n + 1) * size))];
    if (members.length === 0) break;
    const chatId = await world.chat([...watching, ...members]);
    for (const person of members) places.get(person)?.push(chatId);
  }
  const lobby = await world.chat(people.slice(0, LOBBY_AT_ONCE));
  const others = people.slice(LOBBY_AT_ONCE).map(({ id }) => id);
  if (others.length > 0) {
    const path = `/api/chats/${lobby}/members`;
    const { status } = await world.request('POST', path, { as: people[0] as Person, body: { userIds: others } });
    if (status !== 200) throw new Error(`${path} answered ${status}`);
  }

  const connect = async (person: Person, n: number): Promise<LoadClient> => {
    const cable = ends.use(await cluster.cable(n));
    const start = n % PLAIN_ONE_IN === PLAIN_ONE_IN - 1 ? startPlainClient : startSdkClient;
    const client = await start(person, cable);
    ends.defer(() => client.close());
    return client;
  };
  const clients: LoadClient[] = [];
  for (let n = 0; n < crowd.length; n += CONNECT_AT_ONCE) {
    clients.push(
      ...(await Promise.all(crowd.slice(n, n + CONNECT_AT_ONCE).map((person, i) => connect(person, n + i)))),
    );
  }
  const watchers = await Promise.all(
    watching.map(async (person, n) => {
      const watcher = await startSdkClient(person, ends.use(await cluster.cable(n)));
      ends.defer(() => watcher.close());
      return watcher;
    }),
  );
  const of = new Map(clients.map((client) => [client, places.get(client.person) ?? []]));
  return { clients, watchers, chats: { lobby, of } };
}

function returns(
  outages: readonly Outage[],
  stage: Stage,
  silent: boolean,
): Pick<Outcome, 'backMs' | 'backFromCutMs' | 'neverBack'> {
  const ascending = (values: number[]): number[] => values.sort((a, b) => a - b);
  const over = outages.filter((outage): outage is Required<Outage> => outage.backAtMs !== undefined);
  return {
    neverBack: outages.length - over.length,
    backMs: ascending(
      over.map(({ lostAtMs, backAtMs }) => Math.max(0, backAtMs - Math.max(lostAtMs, stage.serviceBackAtMs))),
    ),
    backFromCutMs: silent ? ascending(over.map(({ backAtMs }) => backAtMs - stage.faultAtMs)) : [],
  };
}

/** What kept the crowd waiting. */
function refusalsOf(clients: readonly LoadClient[]): string {
  const sum = new Map<string, number>();
  for (const { passing } of clients) for (const [code, n] of passing) sum.set(code, (sum.get(code) ?? 0) + n);
  return `the clients were told ${JSON.stringify(Object.fromEntries(sum))}`;
}

/** What a node says of itself, and the last that it wrote. */
async function healthOf(node: TestCluster['nodes'][number]): Promise<string> {
  const said = await fetch(`${node.url}/health`, { signal: AbortSignal.timeout(5_000) }).then(
    (answer) => answer.text(),
    (error: unknown) => String(error),
  );
  const lines = node.output().split('\n');
  return `${node.url} says ${said}, and wrote ${lines
    .filter((line) => line.startsWith('{'))
    .join('\n')
    .slice(-1_000)}`;
}

/** What the servers called a bug. */
const errorsOf = (cluster: TestCluster): string[] =>
  cluster.nodes.flatMap((node) =>
    node
      .output()
      .split('\n')
      .filter((line) => line.includes('"level":"error"'))
      .map((line) => line.slice(0, 500)),
  );
