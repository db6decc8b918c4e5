// What set-up code does with AWS's SDK for JavaScript, against the endpoint in AWS_ENDPOINT_URL_LAMBDA.
// node set_up.cjs FOLDER, where FOLDER is where npm has installed the SDK.
const assert = require("node:assert/strict");
const { createRequire } = require("node:module");
const {
  AddPermissionCommand, CreateFunctionCommand, DeleteFunctionCommand, GetFunctionCommand,
  GetFunctionEventInvokeConfigCommand, GetFunctionUrlConfigCommand, GetPolicyCommand, InvokeCommand,
  InvokeWithResponseStreamCommand, LambdaClient, ListFunctionsCommand, ListLayersCommand, ListTagsCommand,
  PublishVersionCommand, PutFunctionEventInvokeConfigCommand, ResourceNotFoundException,
  TagResourceCommand, UpdateFunctionConfigurationCommand, waitUntilFunctionActiveV2,
  waitUntilFunctionUpdatedV2,
} = createRequire(`${process.argv[2]}/`)("@aws-sdk/client-lambda");
const client = new LambdaClient({ maxAttempts: 1 });
const FunctionName = "from-js";
const ask = (Command, members = {}) => client.send(new Command({ FunctionName, ...members }));
const text = (payload) => Buffer.from(payload).toString();
const nothing = (promise) => assert.rejects(promise, ResourceNotFoundException);

async function main() {
  await assert.rejects(
    ask(CreateFunctionCommand, { Role: "r1", Runtime: "python3.13", Handler: "app.f", Code: {} }),
    /at 'role' failed to satisfy constraint/,
  );
  const created = await ask(CreateFunctionCommand, {
    Role: "arn:aws:iam::123456789012:role/any",
    Runtime: "python3.13",
    Handler: "app.f",
    Architectures: ["arm64"],
    Tags: { team: "cats" },
    Code: { ZipFile: Buffer.from(process.env.CODE, "base64") },
  });
  assert.deepEqual(created.Architectures, ["arm64"]);
  await waitUntilFunctionActiveV2({ client, maxWaitTime: 60, minDelay: 1 }, { FunctionName });
  assert.deepEqual(JSON.parse(text((await ask(InvokeCommand, { Payload: '"hello"' })).Payload)), "hello");

  const Resource = created.FunctionArn;
  assert.deepEqual((await ask(ListTagsCommand, { Resource })).Tags, { team: "cats" });
  await ask(TagResourceCommand, { Resource, Tags: { more: "yes" } });
  assert.deepEqual((await ask(GetFunctionCommand)).Tags, { team: "cats", more: "yes" });
  await nothing(ask(GetPolicyCommand));
  await ask(AddPermissionCommand, {
    StatementId: "s3", Action: "lambda:InvokeFunction", Principal: "s3.amazonaws.com",
  });
  assert.equal(JSON.parse((await ask(GetPolicyCommand)).Policy).Statement[0].Sid, "s3");
  await nothing(ask(GetFunctionEventInvokeConfigCommand));
  await ask(PutFunctionEventInvokeConfigCommand, { MaximumRetryAttempts: 0 });
  assert.equal((await ask(GetFunctionEventInvokeConfigCommand)).MaximumRetryAttempts, 0);
  assert.ok((await ask(GetFunctionEventInvokeConfigCommand)).LastModified instanceof Date);
  await nothing(ask(GetFunctionUrlConfigCommand));
  assert.deepEqual((await ask(ListLayersCommand)).Layers, []);

  await ask(UpdateFunctionConfigurationCommand, { Description: "changed" });
  assert.equal(text((await ask(InvokeCommand, { Payload: "1" })).Payload), "1");
  await waitUntilFunctionUpdatedV2({ client, maxWaitTime: 60, minDelay: 1 }, { FunctionName });
  assert.equal((await ask(PublishVersionCommand)).Version, "1");
  assert.equal((await ask(InvokeCommand, { Qualifier: "1" })).ExecutedVersion, "1");
  const { EventStream } = await ask(InvokeWithResponseStreamCommand, { Payload: '"piece"' });
  const pieces = [];
  for await (const event of EventStream) if (event.PayloadChunk) pieces.push(text(event.PayloadChunk.Payload));
  assert.deepEqual(pieces, ['"piece"']);
  assert.equal((await ask(ListFunctionsCommand)).Functions.length, 1);
  await ask(DeleteFunctionCommand);
  await nothing(ask(GetFunctionCommand));
  console.log("all well");
}

main();
