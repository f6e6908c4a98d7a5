/** The OpenAPI document as one HTML page: no script, nothing from elsewhere, light and dark. */
import { createHash } from 'node:crypto';
import { fieldsOf, typeText, type Field } from './notation.ts';
import type { OpenApiDocument, OpenApiOperation } from './openapi.ts';
import { PAGE_STYLE } from './page-style.ts';
import type { JsonSchema } from './shapes.ts';

/** What a Content-Security-Policy must allow for the page's one style element. */
export const PAGE_STYLE_SOURCE = `'sha256-${createHash('sha256').update(PAGE_STYLE).digest('base64')}'`;

export function docsPage(document: OpenApiDocument): string {
  const { info, paths, components, tags } = document;
  const names = Object.keys(components.schemas);
  const operations = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method, operation })),
  );
  const groups = tags.map(({ name }) => {
    const items = operations.filter(({ operation }) => operation.tags.includes(name));
    return `<section id="tag-${name}"><h2>${escape(name)}</h2>${items
      .map(({ path, method, operation }) => article(method, path, operation, names))
      .join('')}</section>`;
  });
  const shapes = Object.entries(components.schemas).map(
    ([name, schema]) => `<article id="shape-${name}"><h3><code>${name}</code></h3>${shape(schema, names)}</article>`,
  );
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escape(info.title)}</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<header><h1>${escape(info.title)}</h1><p>Version ${escape(info.version)}. ${escape(info.description)}</p>
<p><a href="/docs/protocol.md">protocol.md</a> <a href="/docs/openapi.json">openapi.json</a> <a href="/docs/asyncapi.json">asyncapi.json</a></p></header>
<div class="columns">
<nav>${tags.map(({ name }) => `<a href="#tag-${name}">${escape(name)}</a>`).join('')}<a href="#shapes">shapes</a></nav>
<main>${groups.join('')}<section id="shapes"><h2>Shapes</h2>${shapes.join('')}</section></main>
</div>
</body>
</html>
`;
}

function article(method: string, path: string, operation: OpenApiOperation, names: string[]): string {
  const { parameters = [], requestBody, responses, security, description, summary } = operation;
  const inputs: Field[] = parameters.flatMap((parameter) =>
    fieldsOf({
      properties: {
        [parameter.name]: {
          ...parameter.schema,
          ...(parameter.description === undefined ? {} : { description: parameter.description }),
        },
      },
      required: parameter.required ? [parameter.name] : [],
    }).map((field) => ({ ...field, note: [`in the ${parameter.in}`, field.note].filter(Boolean).join('; ') })),
  );
  const body = Object.values(requestBody?.content ?? {})[0]?.schema;
  const fields = [...inputs, ...(body ? fieldsOf(body) : [])];
  const caller = security.some((scheme) => 'bearer' in scheme) ? 'bearer token' : 'no token';
  const data = dataOf(operation);
  const answer = data
    ? shape(data, names)
    : `<ul>${Object.entries(responses)
        .filter(([, response]) => response.description !== undefined)
        .map(([status, { description = '', content }]) => {
          const types = Object.keys(content ?? {}).join(', ');
          return `<li><code>${status}</code> ${escape(description)}${types === '' ? '' : ` <small>${escape(types)}</small>`}</li>`;
        })
        .join('')}</ul>`;
  return `<article id="${escape(operation.operationId)}"><h3><b class="${method}">${method.toUpperCase()}</b> <code>${escape(path)}</code></h3>
<p class="name"><code>${escape(summary)}</code> <small>${caller}</small></p><p>${prose(description)}</p>
<details><summary>Input and data</summary><h4>Input</h4>${table(fields, names)}<h4>${data ? 'Data' : 'Answers'}</h4>${answer}</details></article>`;
}

/** The data inside the envelope; undefined for a route without one. */
function dataOf(operation: OpenApiOperation): JsonSchema | undefined {
  const schema = operation.responses['200']?.content?.['application/json']?.schema;
  return (schema?.allOf?.[0] ?? schema)?.properties?.['data'];
}

function shape(schema: JsonSchema, names: string[]): string {
  const fields = fieldsOf(schema);
  return fields.length > 0 ? table(fields, names) : `<p><code>${type(typeText(schema), names)}</code></p>`;
}

function table(fields: Field[], names: string[]): string {
  if (fields.length === 0) return '<p>Nothing.</p>';
  const rows = fields.map(
    (field) =>
      `<tr><td><code>${escape(field.name)}${field.isRequired ? '' : '?'}</code></td><td><code>${type(field.type, names)}</code></td><td>${prose(field.note)}</td></tr>`,
  );
  return `<div class="scroll"><table><tbody>${rows.join('')}</tbody></table></div>`;
}

/** A type whose named shapes are links. */
const type = (text: string, names: string[]): string =>
  escape(text).replaceAll(/\b[A-Z]\w*\b/g, (name) =>
    names.includes(name) ? `<a href="#shape-${name}">${name}</a>` : name,
  );

/** Text whose backticked parts are code. */
const prose = (text: string): string => escape(text).replaceAll(/`([^`]+)`/g, '<code>$1</code>');

const ENTITIES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escape = (text: string): string => text.replaceAll(/[&<>"']/g, (sign) => ENTITIES[sign] as string);
