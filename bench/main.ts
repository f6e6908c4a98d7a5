/** Prints figures as Markdown. Usage: npm run bench [-- name or group [rounds]], or only the rounds. */
import { cpus } from 'node:os';
import { fanOut } from './documents/fan-out.ts';
import { idleDocuments } from './documents/idle.ts';
import { opening } from './documents/open.ts';
import { writerPairs } from './documents/pairs.ts';
import { betweenNodes } from './documents/two-nodes.ts';
import { durable } from './durable.ts';
import { idle } from './idle.ts';
import { room, rooms } from './rooms.ts';
import { echo } from './sandboxes/echo.ts';
import { flood } from './sandboxes/flood.ts';
import { memory } from './sandboxes/memory.ts';
import { opening as openingTerminals, starts } from './sandboxes/open.ts';
import { throughput } from './sandboxes/throughput.ts';
import { smallRooms } from './small-rooms.ts';
import { slowReader } from './slow-reader.ts';
import { storm } from './storm.ts';

const BENCHES: Record<string, (rounds: number) => Promise<string>> = {
  rooms,
  'small-rooms': (rounds) => smallRooms(rounds),
  storm,
  idle,
  durable,
  'slow-reader': slowReader,
  'two-nodes': (rounds) => room(rounds, { rooms: 1, size: 100, nodes: 2 }),
  'two-nodes-large': (rounds) => room(rounds, { rooms: 1, size: 1_000, nodes: 2 }),
  'two-nodes-small': (rounds) => smallRooms(rounds, 2),
  'documents-fan-out': fanOut,
  'documents-pairs': writerPairs,
  'documents-open': opening,
  'documents-idle': idleDocuments,
  'documents-two-nodes': betweenNodes,
  'sandboxes-echo': echo,
  'sandboxes-throughput': throughput,
  'sandboxes-open': openingTerminals,
  'sandboxes-starts': starts,
  'sandboxes-memory': memory,
  'sandboxes-flood': flood,
};
/** Names of which each stands for all benches that begin with it. */
const GROUPS = ['documents', 'sandboxes'];

const [first = '', second] = process.argv.slice(2);
const isName = Object.hasOwn(BENCHES, first) || GROUPS.includes(first);
const chosen = (name: string): boolean =>
  !isName || name === first || (GROUPS.includes(first) && name.startsWith(`${first}-`));
const rounds = Number((isName ? second : first) || 3);
if (!Number.isInteger(rounds) || rounds < 1) {
  throw new Error(`Benches are: ${[...GROUPS, ...Object.keys(BENCHES)].join(', ')}`);
}

console.log(`${cpus().length} cores, Node ${process.versions.node}; medians of ${rounds} rounds`);
for (const [name, bench] of Object.entries(BENCHES)) {
  if (chosen(name)) console.log(`\n${await bench(rounds)}`);
}
