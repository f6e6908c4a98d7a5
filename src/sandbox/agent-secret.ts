import { createHmac } from 'node:crypto';

/** What proves that an agent is this sandbox's. Derived, so that a server that was started anew knows it without keeping it. */
export const agentSecret = (secret: string, sandboxId: string): string =>
  createHmac('sha256', secret).update(`sandbox agent ${sandboxId}`).digest('hex');
