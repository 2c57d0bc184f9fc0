package worker

import (
	"runtime"
	"strings"

	"google.golang.org/protobuf/proto"

	pb "github.com/steplane/steplane/sdk_go/internal/gen/steplane/v1"
	"github.com/steplane/steplane/sdk_go/internal/run"
)

// Version is this SDK's.
const Version = "0.1.0"

// overheadBytes is what a frame needs around one report: two tags and two lengths, rounded up.
const overheadBytes = 32

// Identity is who a worker is.
type Identity struct {
	Namespace  string
	AppID      string
	InstanceID string
}

func (i Identity) hello(functionIDs []string, held []run.Lease) *pb.StreamWorkRequest {
	return &pb.StreamWorkRequest{Frame: &pb.StreamWorkRequest_Hello{Hello: &pb.Hello{
		Namespace: i.Namespace, AppId: i.AppID, InstanceId: i.InstanceID, FunctionIds: functionIDs,
		Sdk: "steplane-go/" + Version, Language: "go/" + strings.TrimPrefix(runtime.Version(), "go"), Held: leases(held),
	}}}
}

// batch is what is to be sent now.
type batch struct {
	isBeat   bool
	held     []run.Lease // all of them, if a heartbeat is due
	released []run.Lease
	isDrain  bool
	reports  []*pb.Report
	credit   uint64
}

func (b *batch) isEmpty() bool {
	return !b.isBeat && !b.isDrain && len(b.released) == 0 && len(b.reports) == 0 && b.credit == 0
}

// frames are as few as carry the batch.
func (b *batch) frames(bytesMax int) []*pb.StreamWorkRequest {
	var frames []*pb.StreamWorkRequest
	if b.isBeat {
		frames = append(frames, &pb.StreamWorkRequest{
			Frame: &pb.StreamWorkRequest_Heartbeat{Heartbeat: &pb.Heartbeat{Held: leases(b.held)}},
		})
	}
	if b.isDrain {
		frames = append(frames, &pb.StreamWorkRequest{Frame: &pb.StreamWorkRequest_Drain{Drain: &pb.Drain{}}})
	}
	frames = append(frames, reportFrames(b.reports, bytesMax)...)
	if len(b.released) > 0 {
		// After the reports, which would count no more.
		frames = append(frames, &pb.StreamWorkRequest{
			Frame: &pb.StreamWorkRequest_Release{Release: &pb.Release{Leases: leases(b.released)}},
		})
	}
	if b.credit > 0 {
		frames = append(frames, &pb.StreamWorkRequest{
			Frame: &pb.StreamWorkRequest_Credit{Credit: &pb.Credit{InvocationLimit: b.credit}},
		})
	}
	return frames
}

// reportFrames puts reports into as few frames as hold them; a report that is too large for any goes alone.
func reportFrames(reports []*pb.Report, bytesMax int) []*pb.StreamWorkRequest {
	var frames []*pb.StreamWorkRequest
	begin, size := 0, 0
	add := func(end int) {
		if end > begin {
			frames = append(frames, &pb.StreamWorkRequest{
				Frame: &pb.StreamWorkRequest_Reports{Reports: &pb.Reports{Reports: reports[begin:end]}},
			})
			begin, size = end, 0
		}
	}
	for index, report := range reports {
		bytes := proto.Size(report) + overheadBytes
		if size+bytes > bytesMax {
			add(index)
		}
		size += bytes
	}
	add(len(reports))
	return frames
}

func leases(list []run.Lease) []*pb.Lease {
	messages := make([]*pb.Lease, len(list))
	for index, lease := range list {
		messages[index] = &pb.Lease{RunId: lease.RunID, Epoch: lease.Epoch}
	}
	return messages
}

func leasesOf(messages []*pb.Lease) []run.Lease {
	list := make([]run.Lease, len(messages))
	for index, message := range messages {
		list[index] = run.Lease{RunID: message.GetRunId(), Epoch: message.GetEpoch()}
	}
	return list
}
