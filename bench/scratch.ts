import { openAll, closeAll, pace, saturate } from './documents/load.ts';
import { KINDS } from './documents/kinds.ts';
import { placesOf, Typist } from './documents/keystrokes.ts';
import { writeLines } from './documents/trace.ts';
const [names, size, windows, paced] = [
  process.argv[2]!.split(','),
  Number(process.argv[3]),
  process.argv[4]!.split(',').map(Number),
  Number(process.argv[5] ?? 0),
];
const state = writeLines(0x1234_5678, 400, 60);
for (const kind of KINDS.filter((k) => names.includes(k.name))) {
  const system = await kind.start({ documents: [state], nodes: 1 });
  const clients = await openAll(size, (n) => system.client(0, n));
  const places = placesOf(clients[0]!.takeState(), size);
  const writers = clients.slice(1).map((client, n) => ({ client, typist: new Typist(0x4000_0000 + n, places[n]!) }));
  await new Promise((r) => setTimeout(r, 500));
  if (paced) {
    await pace(clients, writers, { perSecond: paced, seconds: 2 });
    const d = (await pace(clients, writers, { perSecond: paced, seconds: 5 })).sort((a, b) => a - b);
    console.log(
      kind.name,
      'paced p50',
      d[d.length >> 1]!.toFixed(2),
      'p99',
      d[Math.floor(d.length * 0.99)]!.toFixed(2),
    );
  }
  for (const window of windows)
    if (window) {
      const s = await saturate(system, clients, writers, { window, seconds: 4 });
      console.log(
        kind.name,
        'window',
        window,
        Object.entries(s)
          .map(([k, v]) => `${k}=${v.toFixed(2)}`)
          .join(' '),
      );
    }
  await closeAll(clients);
  await system.stop();
}
