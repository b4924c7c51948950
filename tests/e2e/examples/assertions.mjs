// assertiond's AssertionService for the Node examples.
import grpc from '@grpc/grpc-js';
import protoLoader from '@grpc/proto-loader';

// `server`: unix:/path, as in $ASSERTIOND_SERVER; `protos`: the project's folder proto/.
export function connect(server, protos) {
  const { AssertionService } = grpc.loadPackageDefinition(
    protoLoader.loadSync('assertion/v1/assertion.proto', { includeDirs: [protos], keepCase: true }),
  ).assertion.v1;
  const service = new AssertionService(server, grpc.credentials.createInsecure());  // the kernel says who we are
  return {
    // Always with a deadline, which the server plans by.
    createAssertion: (request, seconds = 5) => new Promise((resolve, reject) => {
      service.CreateAssertion(request, { deadline: Date.now() + seconds * 1000 },
        (error, answer) => { if (error) reject(error); else resolve(answer); });
    }),
    close: () => service.close(),
  };
}
