// Prints one JSON line per test that ended, for the Go test that runs this.
export default async function* report(events) {
  for await (const { type, data } of events) {
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    if (data.details?.type === 'suite') continue;
    const error = data.details?.error;
    yield JSON.stringify({
      name: data.name,
      file: data.file,
      passed: type === 'test:pass',
      skipped: Boolean(data.skip || data.todo),
      error: error && String(error.cause?.stack ?? error.cause ?? error.message),
    }) + '\n';
  }
}
