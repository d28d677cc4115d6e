// node ask.mjs upload FILE ROWS     writes a Parquet file of questions
// node ask.mjs query FOLDER FILE...  puts each query to the Parquet files below
//                                    FOLDER, and prints columns and rows as JSON
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';

// Nothing is fetched: what reads Parquet is part of the program.
const db = await DuckDBInstance.create(':memory:', { autoinstall_known_extensions: 'false', autoload_known_extensions: 'false' });
const c = await db.connect();
const quoted = (text) => `'${text.replaceAll("'", "''")}'`;
const [what, first, ...rest] = process.argv.slice(2);

if (what === 'upload') {
  await c.run(`copy (
    select 'u' || i as id, i as number, 'What is ' || i || ' plus one?' as question, (i * 1.25)::decimal(12, 2) as price,
           timestamp '2026-11-26 10:00:00' + to_seconds(i) as asked, [i, i + 1] as pair, {'even': i % 2 = 0} as facts,
           case when i % 50 = 0 then null else 'note ' || (i % 7) end as note
    from range(1, ${Number(rest[0])} + 1) r(i)
  ) to ${quoted(first)} (format parquet, compression snappy, row_group_size 2048)`);
} else {
  await c.run(`create view results as select * from read_parquet(${quoted(first + '/**/*.parquet')}, hive_partitioning = true, hive_types_autocast = false)`);
  const answers = {};
  for (const file of rest) {
    const answer = await c.runAndReadAll(readFileSync(file, 'utf8'));
    answers[basename(file, '.sql')] = { columns: answer.columnNames(), rows: answer.getRowsJson() };
  }
  console.log(JSON.stringify(answers));
}
