// Who am I to AWS, by @aws-sdk/credential-providers? Prints STS's answer as JSON, or null where there are no credentials.

import { createRequire } from "node:module";

// The packages are installed in the folder that this runs in, not beside this file.
const require = createRequire(`${process.cwd()}/`);
const { fromInstanceMetadata } = require("@aws-sdk/credential-providers");
const { GetCallerIdentityCommand, STSClient } = require("@aws-sdk/client-sts");

async function whoAmI() {
  let credentials;
  try {
    credentials = await fromInstanceMetadata()();
  } catch (error) {
    console.error(error);
    return null;
  }
  const { Arn } = await new STSClient({ credentials }).send(new GetCallerIdentityCommand({}));
  return { Arn };
}

console.log(JSON.stringify(await whoAmI()));
