/** How a stock Yjs front end gets in. */
import { z } from 'zod';
import { Id, LIMITS, operation } from '../../protocol/index.ts';

export const ticketOperations = {
  'doc:ticket': operation({
    input: z.strictObject({ fileId: Id }),
    output: z.object({ ticket: z.string(), expiresInSeconds: z.int() }),
    auth: 'user',
    rate: 'reads',
    http: { route: 'POST /api/files/:fileId/ticket' },
    doc: `A ticket for \`/yjs/<fileId>?token=<ticket>\`, for stock Yjs providers: they keep their address, so it lasts longer than an access token. For this user, session and file only; it must be used within ${LIMITS.ticketFirstUseMs / 1_000} s, and from then on serves reconnects for as long as the session and the access last. A file that is no text is unsupported.`,
  }),
};
