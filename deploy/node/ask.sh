#!/bin/sh
# The work of a sample pod: it asks the metadata service for credentials, as an SDK does, and logs each answer that differs
# from the one before. Of credentials it logs the key's name and the end, never the secret.
service=http://169.254.169.254/latest

# The answer, whatever its status is; it fails if that is not 2xx, or if there is none.
ask() {
    status=0
    body=$(curl --silent --show-error --fail-with-body --max-time 10 "$@" 2>&1) || status=$?
    echo "$body" | grep -v '^curl: (22)'
    return $status
}

credentials() {
    token=$(ask -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 21600' $service/api/token) || { echo "no token: $token"; return; }
    role=$(ask -H "X-aws-ec2-metadata-token: $token" $service/meta-data/iam/security-credentials/) || { echo "refused: $role"; return; }
    answer=$(ask -H "X-aws-ec2-metadata-token: $token" "$service/meta-data/iam/security-credentials/$role") ||
        { echo "refused: $answer"; return; }
    echo "role $role: $(echo "$answer" | tr -d '\n' | sed 's/.*\("AccessKeyId" *: *"[^"]*"\).*\("Expiration" *: *"[^"]*"\).*/\1, \2/')"
}

before=
while :; do
    now=$(credentials)
    # A refusal ends in the request's id, which is another each time.
    same=${now%"(request "*}
    [ "$same" = "$before" ] || echo "$now"
    before=$same
    sleep 5
done
