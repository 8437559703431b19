"""Messages of `sandbox url`."""

from sandbox.cli.service import unreachable


def test_service_without_a_load_balancer_is_reached_by_port_forward() -> None:
    text = unreachable("dev", {"url": "http://guestbook.shop.svc.cluster.local"})
    assert "kubectl port-forward -n shop service/guestbook 8080:80" in text
    outside = unreachable("dev", {"url": "http://lb-1.us-east-1.elb.amazonaws.com"})
    assert "`sandbox up dev` starts it" in outside
    assert "`sandbox up dev` starts it" in unreachable("dev", {})
