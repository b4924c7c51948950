module assertiond/client

go 1.18

require (
	github.com/golang/protobuf v1.3.5
	google.golang.org/grpc v1.33.3
)
