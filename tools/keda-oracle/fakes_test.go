package oracle

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"sort"
	"strings"
	"sync"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/scale"
	scalefake "k8s.io/client-go/scale/fake"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	eventingv1alpha1 "github.com/kedacore/keda/v2/apis/eventing/v1alpha1"
)

// broker answers as RabbitMQ's management API does. It lives outside of virtual time.
type broker struct {
	url string

	lock sync.Mutex
	now  step
}

func newBroker(t *testing.T) *broker {
	b := &broker{}
	server := httptest.NewServer(b)
	t.Cleanup(server.Close)
	b.url = strings.Replace(server.URL, "http://", "http://guest:guest@", 1) + "/"
	return b
}

func (b *broker) show(now step) {
	b.lock.Lock()
	defer b.lock.Unlock()
	b.now = now
}

func (b *broker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.lock.Lock()
	defer b.lock.Unlock()
	name, err := url.PathUnescape(strings.TrimPrefix(r.URL.EscapedPath(), "/api/queues/%2F"))
	if b.now.Down || err != nil {
		http.Error(w, "down", http.StatusInternalServerError)
		return
	}
	if r.URL.Query().Get("use_regex") == "true" {
		b.list(w, r.URL.Query().Get("name"))
		return
	}
	found, ok := b.now.Queues[strings.TrimPrefix(name, "/")]
	if !ok {
		http.NotFound(w, r)
		return
	}
	answerJSON(w, statistics(name, found))
}

func (b *broker) list(w http.ResponseWriter, pattern string) {
	items := []map[string]any{}
	for name, one := range b.now.Queues {
		if regexp.MustCompile("(?i)" + pattern).MatchString(name) {
			items = append(items, statistics(name, one))
		}
	}
	sort.Slice(items, func(i, j int) bool { return items[i]["name"].(string) < items[j]["name"].(string) })
	answerJSON(w, map[string]any{"items": items, "page_count": 1})
}

func statistics(name string, q queue) map[string]any {
	return map[string]any{
		"name": name, "messages": q.Ready + q.Unacked, "messages_ready": q.Ready, "messages_unacknowledged": q.Unacked,
		"message_stats": map[string]any{
			"publish_details":     map[string]any{"rate": q.Publish},
			"deliver_get_details": map[string]any{"rate": q.Deliver},
		},
	}
}

func answerJSON(w http.ResponseWriter, document any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(document)
}

// scales is the scale subresource of the target.
func scales(c client.Client) scale.ScalesGetter {
	fake := &scalefake.FakeScaleClient{}
	fake.AddReactor("get", "deployments", func(action clienttesting.Action) (bool, runtime.Object, error) {
		found := &appsv1.Deployment{}
		name := action.(clienttesting.GetAction).GetName()
		if err := c.Get(context.Background(), types.NamespacedName{Namespace: namespace, Name: name}, found); err != nil {
			return true, nil, err
		}
		return true, &autoscalingv1.Scale{
			ObjectMeta: metav1.ObjectMeta{Name: target, Namespace: namespace},
			Spec:       autoscalingv1.ScaleSpec{Replicas: *found.Spec.Replicas},
			Status:     autoscalingv1.ScaleStatus{Replicas: *found.Spec.Replicas, Selector: "app=" + target},
		}, nil
	})
	fake.AddReactor("update", "deployments", func(action clienttesting.Action) (bool, runtime.Object, error) {
		changed := action.(clienttesting.UpdateAction).GetObject().(*autoscalingv1.Scale)
		return true, changed, setReplicas(context.Background(), c, changed.Spec.Replicas)
	})
	return fake
}

func setReplicas(ctx context.Context, c client.Client, replicas int32) error {
	found := &appsv1.Deployment{}
	if err := c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: target}, found); err != nil {
		return err
	}
	found.Spec.Replicas = &replicas
	return c.Update(ctx, found)
}

func readyPod(i int) *corev1.Pod {
	ready := corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("pod-%d", i), Namespace: namespace, Labels: map[string]string{"app": target}},
		Status:     corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{ready}},
	}
}

// noRecords drops Kubernetes events, noEvents cloud events.
type noRecords struct{}

func (noRecords) Eventf(runtime.Object, runtime.Object, string, string, string, string, ...any) {}

type noEvents struct{}

func (noEvents) DeleteCloudEventSource(eventingv1alpha1.CloudEventSourceInterface) error { return nil }

func (noEvents) HandleCloudEventSource(context.Context, eventingv1alpha1.CloudEventSourceInterface) error {
	return nil
}

func (noEvents) Emit(runtime.Object, string, string, eventingv1alpha1.CloudEventType, string, string) {
}
