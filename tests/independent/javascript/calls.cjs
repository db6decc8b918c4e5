// Makes calls with AWS's SDK for JavaScript: read as JSON from standard input, answered in the same order.
// node calls.cjs FOLDER, where FOLDER is where npm has installed the SDK.
const { createRequire } = require("node:module");
const { readFileSync } = require("node:fs");
const sdk = createRequire(`${process.argv[2]}/`)("@aws-sdk/client-lambda");

const BYTES = ["Payload", "InvokeArgs"];
const base64 = (bytes) => Buffer.from(bytes).toString("base64");
const clients = new Map();

function clientOf(endpoint) {
  if (!clients.has(endpoint)) {
    clients.set(endpoint, new sdk.LambdaClient({ endpoint, region: "us-east-1", maxAttempts: 1 }));
  }
  return clients.get(endpoint);
}

async function eventsOf(stream) {
  const events = [];
  for await (const event of stream) {
    const { PayloadChunk } = event;
    events.push(PayloadChunk ? { PayloadChunk: { Payload: base64(PayloadChunk.Payload) } } : event);
  }
  return events;
}

async function answered({ url, operation, arguments: given }) {
  const input = { ...given };
  for (const name of BYTES) if (name in input) input[name] = Buffer.from(input[name], "base64");
  try {
    const { $metadata, ...answer } = await clientOf(url).send(new sdk[`${operation}Command`](input));
    if (answer.Payload) answer.Payload = base64(answer.Payload);
    if (answer.EventStream) answer.EventStream = await eventsOf(answer.EventStream);
    return { answer };
  } catch (error) {
    if (!error.$metadata) throw error;
    const { name: code, message, Reason: reason } = error;
    return { error: { status: error.$metadata.httpStatusCode, code, message, reason } };
  }
}

async function main() {
  const answers = [];
  for (const call of JSON.parse(readFileSync(0))) answers.push(await answered(call));
  process.stdout.write(JSON.stringify(answers));
}

main();
