/** Whom one does not want to deal with: operations. */
import { z } from 'zod';
import { Empty, Id, listInput, operation, pageOf, Time } from '../../protocol/index.ts';
import { User } from '../users/contract.ts';

export const BlockedUser = User.extend({ blockedAt: Time }).meta({ id: 'BlockedUser' });
export type BlockedUser = z.output<typeof BlockedUser>;

const whom = z.strictObject({ userId: Id });

export const blocksContract = {
  'user:block': operation({
    input: whom,
    output: Empty,
    auth: 'user',
    rate: 'writes',
    orderKey: ({ userId }) => userId,
    http: { route: 'PUT /api/users/:userId/block' },
    doc: 'From now on the two exchange no private messages and see neither presence nor typing of each other. The other is not told. Blocking again changes nothing; oneself is invalid.',
  }),
  'user:unblock': operation({
    input: whom,
    output: Empty,
    auth: 'user',
    rate: 'writes',
    orderKey: ({ userId }) => userId,
    http: { route: 'DELETE /api/users/:userId/block' },
    doc: "Ends the caller's block; one that the other has set stays.",
  }),
  'user:blocked': operation({
    input: z.strictObject(listInput),
    output: pageOf(BlockedUser),
    auth: 'user',
    rate: 'reads',
    http: { route: 'GET /api/users/blocked' },
    doc: 'Whom the caller has blocked, the newest first.',
  }),
};
