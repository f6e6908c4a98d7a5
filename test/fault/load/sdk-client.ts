/** A client with the SDK, as an application uses it. */
import { setTimeout as pause } from 'node:timers/promises';
import { AtelierError, connect } from '../../../src/client/index.ts';
import type { Person } from '../../support/server.ts';
import type { TcpCutter } from '../../support/tcp-cutter.ts';
import { AGAIN_MS, PASSING, Record, type LoadClient } from './load-client.ts';

export interface SdkClient extends LoadClient {
  readonly sdk: ReturnType<typeof connect>;
}

export async function startSdkClient(person: Person, cable: TcpCutter): Promise<SdkClient> {
  const record = new Record();
  const sdk = connect({ url: `http://127.0.0.1:${cable.port}`, token: person.accessToken });
  let closed = false;
  sdk.on('message:created', ({ chatId, message }) => record.hear(chatId, message.id));
  sdk.on('chat:reset', ({ chatId }) => record.faults.push(`${person.id}: reset of ${chatId}`));
  sdk.on('state', ({ state, error }) => {
    if (state === 'reconnecting') record.lost();
    else if (state === 'ready') record.back();
    else if (state === 'closed' && !closed) record.faults.push(`${person.id}: closed: ${error?.message}`);
  });
  await sdk.ready();
  return {
    person,
    cable,
    sdk,
    heard: record.heard,
    outages: record.outages,
    faults: record.faults,
    passing: record.passing,
    async send(chatId, clientId, content) {
      for (;;) {
        try {
          return await sdk.call('message:send', { chatId, clientId, content });
        } catch (error) {
          const { code } = error as AtelierError;
          if (closed) throw error;
          record.passed(code);
          if (!PASSING.has(code)) record.faults.push(`${person.id}: message:send answered ${code}: ${String(error)}`);
          if (!PASSING.has(code)) throw error;
        }
        await pause(AGAIN_MS);
      }
    },
    close() {
      closed = true;
      sdk.close();
    },
  };
}
