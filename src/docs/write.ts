/** `npm run docs`: writes what is generated from the code into the repository. Run from its root. */
import { writeFile } from 'node:fs/promises';
import { generated } from './generated.ts';

for (const [path, text] of Object.entries(generated())) await writeFile(path, text);
