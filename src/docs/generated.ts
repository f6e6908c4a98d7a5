/** Every file of the repository that is generated from the code, by its path. */
import { envExample } from '../config/index.ts';
import { contract, events, PROTOCOL_VERSION } from '../features/registry.ts';
import { asyncApi } from '../rest/docs/asyncapi.ts';
import { openApi } from '../rest/docs/openapi.ts';
import { protocolMarkdown } from '../rest/docs/protocol-markdown.ts';

export function generated(): Record<string, string> {
  const version = String(PROTOCOL_VERSION);
  const json = (document: unknown): string => `${JSON.stringify(document, null, 2)}\n`;
  return {
    '.env.example': envExample(),
    'docs/protocol.md': protocolMarkdown(contract, events, version),
    'docs/openapi.json': json(openApi(contract, version)),
    'docs/asyncapi.json': json(asyncApi(contract, events, version)),
  };
}
