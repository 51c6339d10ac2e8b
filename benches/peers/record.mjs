// Writes down the statements that a Node client sends through `pg`, and makes pgbench scripts of them: what is measured
// is what the package says, word for word, and none of it has to be kept here.
import { writeFileSync } from 'node:fs';
import pg from 'pg';

const sent = [];
const query = pg.Client.prototype.query;
pg.Client.prototype.query = function (config, values, ...rest) {
  const text = config?.text ?? config;
  if (typeof text === 'string') sent.push({ text, values: config.values ?? (Array.isArray(values) ? values : []) });
  return query.call(this, config, values, ...rest);
};

/** The last statement with this in it. */
export function last(pattern) {
  const found = sent.findLast(({ text }) => pattern.test(text));
  if (!found) throw new Error(`the client sent nothing like ${pattern}`);
  return found;
}

/** The statement for pgbench: `variables` by the number of the parameter, all others as they were sent. */
export function statement({ text, values }, variables = {}) {
  const sql = text.replace(/\$(\d+)/g, (_, n) => variables[n] ?? literal(values[n - 1]));
  return sql.trim().replace(/;$/, '').replace(/\n\s*\n/g, '\n');
}

function literal(value) {
  if (value === null || value === undefined) return 'NULL';
  if (typeof value === 'number' || typeof value === 'boolean') return String(value);
  const text = Array.isArray(value) ? `{${value.join(',')}}` : typeof value === 'object' ? JSON.stringify(value) : value;
  // pgbench takes a colon before a word for a variable of its own.
  return `'${text.replaceAll("'", "''").replace(/:(?=\w)/g, ': ')}'`;
}

/** `get` makes variables of the one row that a statement returns. */
export const get = (sql) => `${sql} \\gset\n`;
export const run = (sql) => `${sql};\n`;

export function write(name, ...statements) {
  writeFileSync(name, statements.join(''));
}
