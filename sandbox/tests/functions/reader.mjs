// A function in JavaScript without any library: reads its event with `JSON.parse`, and fails each record whose payload is not
// the JSON object that it expects.

const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

const handle = (event) => ({
  batchItemFailures: event.records
    .filter((record) => !isObject(record.payload))
    .map((record) => ({ itemIdentifier: record.id, retry: false })),
});

for (;;) {
  const invocation = await fetch(`${api}/next`);
  const requestId = invocation.headers.get("Lambda-Runtime-Aws-Request-Id");
  let path = "response";
  let answer;
  try {
    answer = handle(JSON.parse(await invocation.text()));
  } catch (error) {
    path = "error";
    answer = { errorType: error.name, errorMessage: "the event cannot be read" };
  }
  await fetch(`${api}/${requestId}/${path}`, { method: "POST", body: JSON.stringify(answer) });
}
