/** The end of an account. */
import { z } from 'zod';
import { Empty, operation } from '../../protocol/index.ts';

export const lifecycleContract = {
  'user:delete-account': operation({
    input: z.strictObject({ password: z.string().min(1).max(128).optional() }),
    output: Empty,
    auth: 'user',
    rate: 'writes',
    http: { route: 'DELETE /api/users/me' },
    doc: "Ends the caller's account for good, at once: name, addresses, password, keys, blocks and sessions are removed, and the caller leaves every chat. What they wrote stays with the others, under the name “Deleted user”. Wants the password; of somebody without one, a session that began less than ten minutes ago (else forbidden).",
  }),
};
