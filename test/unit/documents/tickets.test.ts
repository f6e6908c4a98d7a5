/** Tickets: whom they let in where, and for how long. */
import { Types } from 'mongoose';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTicketModel } from '../../../src/features/documents/ticket-model.ts';
import { createTickets, isTicket, type TicketClaims, type Tickets } from '../../../src/features/documents/tickets.ts';
import { DAY_MS, LIMITS } from '../../../src/protocol/index.ts';
import { openTestDatabase, type TestDatabase } from '../../support/database.ts';
const id = (): string => new Types.ObjectId().toHexString();
const claims: TicketClaims = { fileId: id(), userId: id(), sessionId: id() };

let database: TestDatabase;
let nowMs = Date.now();
/** Of two nodes, and of another deployment. */
let [here, there, elsewhere]: Tickets[] = [];

beforeAll(async () => {
  database = await openTestDatabase();
  const model = createTicketModel(database.connection);
  [here, there, elsewhere] = ['pepper', 'pepper', 'another'].map((secret) =>
    createTickets({ model, secret, sessionDays: 30, now: () => nowMs }),
  );
});
afterAll(() => database[Symbol.asyncDispose]());

const tickets = (): [Tickets, Tickets, Tickets] => {
  if (!here || !there || !elsewhere) throw new Error('They are not there');
  return [here, there, elsewhere];
};
const refused = { code: 'unauthenticated' };

test('[DC-40] a ticket is for one user, session and file, and good on every node', async () => {
  const [a, b] = tickets();
  const ticket = a.sign(claims);
  expect(isTicket(ticket)).toBe(true);
  expect(await b.use(ticket, claims.fileId)).toEqual(claims);
  await expect(b.use(ticket, id())).rejects.toMatchObject(refused);
});

test('[DC-40] one that was used in time serves on; one that was not opens nothing any more', async () => {
  const [a, b] = tickets();
  const [used, unused] = [a.sign(claims), a.sign({ ...claims, sessionId: id() })];
  nowMs += LIMITS.ticketFirstUseMs - 1;
  await a.use(used, claims.fileId);
  nowMs += 2;
  await expect(b.use(unused, claims.fileId)).rejects.toMatchObject(refused);
  nowMs += 3 * DAY_MS;
  expect(await b.use(used, claims.fileId)).toEqual(claims);
});

test('[DC-40] one that was changed or made up, or is of another deployment, is none', async () => {
  const [a, , c] = tickets();
  const ticket = a.sign(claims);
  const [mark, payload = '', signature = ''] = ticket.split('.');
  const changed = payload.startsWith('A') ? `B${payload.slice(1)}` : `A${payload.slice(1)}`;
  const wrong = [
    '',
    't.',
    `${mark}.${changed}.${signature}`,
    `${mark}.${payload}.${signature.slice(1)}`,
    `${ticket}x`,
    `t.${'A'.repeat(56)}.${'A'.repeat(43)}`,
    c.sign(claims),
  ];
  for (const other of wrong) await expect(a.use(other, claims.fileId)).rejects.toMatchObject(refused);
});
