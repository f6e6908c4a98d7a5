import { Types } from 'mongoose';
import { describe, expect, test } from 'vitest';
import { createAudit, type AuditRecord, type Log, type LogFields } from '../../src/observability/index.ts';
import { openTestDatabase, type TestDatabase } from '../support/database.ts';

const userId = '0123456789abcdef01234567';

function collect() {
  const lines: { level: string; message: string; fields?: LogFields }[] = [];
  const write = (level: string) => (message: string, fields?: LogFields) =>
    void lines.push({ level, message, ...(fields ? { fields } : {}) });
  const log: Log = {
    debug: write('debug'),
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    child: () => log,
  };
  return { log, lines };
}

const rows = (database: TestDatabase): Promise<AuditRecord[]> =>
  database.connection.collection<AuditRecord>('audit').find({}).sort({ _id: 1 }).toArray();

describe('the audit', () => {
  test('[OB-30] stores who did what, with the network and not the address', async () => {
    await using database = await openTestDatabase();
    const audit = createAudit({ connection: database.connection, log: collect().log, now: () => 1_700_000_000_000 });
    audit.record({
      action: 'auth.login',
      ok: true,
      userId,
      target: 'x'.repeat(1_000),
      origin: { ip: '203.0.113.77', userAgent: 'test' },
      detail: { method: 'password' },
    });
    audit.record({ action: 'auth.login', ok: false });
    await audit.flush();
    const [first, second] = await rows(database);
    expect(first).toMatchObject({
      action: 'auth.login',
      ok: true,
      userId: new Types.ObjectId(userId),
      time: new Date(1_700_000_000_000),
      ip: '203.0.113.0/24',
      userAgent: 'test',
      detail: { method: 'password' },
    });
    expect(first?.target).toHaveLength(300);
    expect(second).not.toHaveProperty('userId');
    await audit.close();
  });

  test('[OB-31] writes everything recorded before a flush, in order, however much', async () => {
    await using database = await openTestDatabase();
    const audit = createAudit({ connection: database.connection, log: collect().log });
    for (let index = 0; index < 1_200; index++) audit.record({ action: `a${index}`, ok: true });
    await audit.flush();
    expect((await rows(database)).map(({ action }) => action)).toEqual(
      Array.from({ length: 1_200 }, (_, index) => `a${index}`),
    );
    expect(audit.waiting).toBe(0);
    await audit.close();
  });

  test('[OB-32] writes what waits when it is closed', async () => {
    await using database = await openTestDatabase();
    const audit = createAudit({ connection: database.connection, log: collect().log });
    audit.record({ action: 'last', ok: true });
    const flushed = audit.flush();
    await audit.close();
    await flushed;
    expect(await rows(database)).toHaveLength(1);
  });

  test('[OB-33] counts and tells what finds no place, and never throws', async () => {
    await using database = await openTestDatabase();
    const { log, lines } = collect();
    const audit = createAudit({ connection: database.connection, log, queueLimit: 3 });
    for (let index = 0; index < 5; index++) audit.record({ action: `a${index}`, ok: true });
    expect(audit.lost).toBe(2);
    expect(lines.filter(({ level }) => level === 'error')).toHaveLength(2);
    await audit.flush();
    expect((await rows(database)).map(({ action }) => action)).toEqual(['a0', 'a1', 'a2']);
    await audit.close();
    audit.record({ action: 'late', ok: true });
    expect(audit.lost).toBe(3);
  });

  test('[OB-34] ends without its rows, and says so, when the database is gone', async () => {
    const database = await openTestDatabase();
    const { log, lines } = collect();
    const audit = createAudit({ connection: database.connection, log });
    await database.close();
    audit.record({ action: 'a', ok: true });
    const flushed = audit.flush();
    await audit.close();
    await flushed;
    expect(audit.lost).toBe(1);
    expect(lines.at(-1)).toMatchObject({ level: 'error', message: 'Audit rows are lost' });
  });
});
