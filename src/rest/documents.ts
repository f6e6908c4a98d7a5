/** The generated documents, made when somebody first asks. */
import type { Express } from 'express';
import { PROTOCOL_VERSION } from '../features/registry.ts';
import type { RestDeps } from './deps.ts';
import { asyncApi } from './docs/asyncapi.ts';
import { openApi } from './docs/openapi.ts';
import { docsPage, PAGE_STYLE_SOURCE } from './docs/page.ts';
import { protocolMarkdown } from './docs/protocol-markdown.ts';

export function bindDocuments(app: Express, { contract, events }: Pick<RestDeps, 'contract' | 'events'>): void {
  const version = String(PROTOCOL_VERSION);
  const policy = `default-src 'none'; style-src ${PAGE_STYLE_SOURCE}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;
  const json = 'application/json; charset=utf-8';
  const documents = [
    ['/docs', 'text/html; charset=utf-8', () => docsPage(openApi(contract, version))],
    ['/docs/openapi.json', json, () => JSON.stringify(openApi(contract, version), null, 2)],
    ['/docs/asyncapi.json', json, () => JSON.stringify(asyncApi(contract, events, version), null, 2)],
    ['/docs/protocol.md', 'text/markdown; charset=utf-8', () => protocolMarkdown(contract, events, version)],
  ] as const;

  app.get('/', (_request, response) => response.redirect('/docs'));
  for (const [path, contentType, write] of documents) {
    let text: string | undefined;
    app.get(path, (_request, response) => {
      text ??= write();
      response.set({ 'Content-Type': contentType, 'Content-Security-Policy': policy }).send(text);
    });
  }
}
